"""Suites whose tests depend on each other: whether the re-check finds that, names it rightly, and how fast.

python -m benchmarks.orders
"""
