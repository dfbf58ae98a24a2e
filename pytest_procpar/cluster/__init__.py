"""The controller's handle on the processes of a run: fork servers and, through them, workers.

Enter at `cluster`. Carries out what it is told; says what happened; never decides.
"""
