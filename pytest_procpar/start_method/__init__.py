"""Which start method is safe for a suite: evidence, what is vouched for, and the choice.

Enter at `choose` and `hazards`.
"""
