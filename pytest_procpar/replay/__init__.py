"""``--replay``: a file with tests in an order, and the run that takes exactly these.

Start at `file` and `reorder`.
"""
