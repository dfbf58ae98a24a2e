"""Which start method is safe for a suite: evidence, what is vouched for, and the choice.

Start at `choose` and `hazards`.
"""
