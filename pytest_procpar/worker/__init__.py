"""The process that runs tests, and what it says about them.

Start at `runner`. It knows the inbox in which its tests arrive, but not what other workers run.
"""
