"""The operating system: its functions, out of reach of a user's mocks, its limits, processes and files.

Enter at `calls`. Knows nothing of pytest.
"""
