"""The operating system: its functions, out of reach of a user's mocks, its limits, processes and files.

Start at `calls`. Knows nothing of pytest.
"""
