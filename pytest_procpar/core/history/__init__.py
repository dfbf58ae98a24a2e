"""How long tests and their shared fixtures took in earlier runs: kept, merged, and told for the next.

Start at `durations`. Decides what is kept of a run; `pytest_procpar.history` reads and writes it.
"""
