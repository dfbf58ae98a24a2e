"""What is wrong with a test: questions, probes that answer them, and the search for a cause.

Start at `inquiry`. Decides which probe comes next; `pytest_procpar.recheck` runs it.
"""
