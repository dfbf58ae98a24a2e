"""``--procpar-try``: runs a suite in several ways and prints a page for whoever thinks of switching.

Enter at `try_run`.
"""
