"""Names that are unique to a process and were made before the fork: all workers would share them.

Start at `unique_names`.
"""
