"""The history of durations on disk: where it is, how runs add to it, and the tool that shows and merges it.

Start at `keeper`. What is kept, and what is made of it, is decided in `pytest_procpar.core.history`.
"""
