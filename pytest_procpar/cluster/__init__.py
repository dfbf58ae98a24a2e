"""The controller's handle on the processes of a run: fork servers and, through them, workers.

Start at `cluster`. This package carries out orders and reports what happened; it never decides.
"""
