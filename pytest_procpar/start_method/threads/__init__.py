"""Threads that a forked process does not have: Python's own, and those of native libraries.

Start at `native_threads` and `python_threads`. What each library needs is one table: `native_libraries`.
"""
