"""The re-check as a whole: its budget, progress and result, what is remembered of it, what it suggests.

Start at `result` and `budget`.
"""
