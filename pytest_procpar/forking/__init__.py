"""Starting processes, and what a forked one must forget, renew or put right before it does anything else.

Start at `fork`.
"""
