"""The leak check (``--leaks``): what a test leaves behind in its process.

Start at `check`.
"""
