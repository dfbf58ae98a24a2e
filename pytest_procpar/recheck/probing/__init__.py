"""Probes in throw-away processes: trees of them, each with the state after some tests, and who talks to them.

Start at `prober`. It is told which probes to run, and knows nothing of what their results mean.
"""
