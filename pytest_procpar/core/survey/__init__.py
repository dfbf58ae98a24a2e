"""What hides among the tests that passed: other orders, and which pairs of tests they have tried.

Start at `survey`.
"""
