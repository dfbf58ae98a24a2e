"""``--procpar-try``: runs a suite in several ways and prints a page for those who consider switching.

Start at `try_run`.
"""
