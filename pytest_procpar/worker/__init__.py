"""The process that runs tests, and what it says about them.

Enter at `runner`. Knows the inbox that tests arrive in, and nothing of who else runs what.
"""
