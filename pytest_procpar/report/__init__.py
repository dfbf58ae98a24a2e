"""What the user reads: pytest's reports in the controller, and the sections of the terminal summary.

Start at `results`. Starts no process and decides nothing.
"""
