"""Fresh pytest processes that run tests again, as a user would, and change nothing of the user's.

Enter at `rounds` in the process that starts them, at `rerun` in the one that is started.
"""
