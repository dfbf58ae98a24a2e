"""Whether a failure is the fork's doing: which failures are tried, and what follows from how they end.

Start at `trial`.
"""
