from hypothesis import settings

settings.register_profile("kept", derandomize=False, database=None)
