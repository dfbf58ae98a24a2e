"""``--procpar-report``: every test of a run with its attempts and findings, for programs.

Start at `plugin`.
"""
