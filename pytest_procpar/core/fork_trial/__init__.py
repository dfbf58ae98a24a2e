"""Whether a failure is the fork's doing: which failures are tried, and what follows from how they end.

Enter at `trial`.
"""
