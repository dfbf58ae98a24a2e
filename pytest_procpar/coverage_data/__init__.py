"""Coverage's data in processes that are forked, may die, and end without Coverage's exit handler.

The only package that imports coverage.
"""
