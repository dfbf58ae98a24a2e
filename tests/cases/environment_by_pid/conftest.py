import os

os.environ["APP_PID"] = str(os.getpid())
