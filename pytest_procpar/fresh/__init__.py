"""Fresh pytest processes that run tests again, as a user would, and change nothing of the user's.

Start at `rounds` for the process that starts them, at `rerun` for the one that is started.
"""
