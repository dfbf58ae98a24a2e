"""What the runs of one user on one machine know of each other: a file of claims, each held by a lock.

Start at `registry`. What a run makes of the others' claims is decided in `pytest_procpar.core.sizing`.
"""
