"""Names that are unique to a process and were made before the fork: all workers would share them.

Enter at `unique_names`.
"""
