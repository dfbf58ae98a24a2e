"""What is wrong with a test: questions, probes that answer them, and the search for a cause.

Enter at `inquiry`. Decides which probe comes next; who runs it is in `pytest_procpar.recheck`.
"""
