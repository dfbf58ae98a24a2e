"""``--procpar-advise``: after a run, a page about what would make it faster.

Start at `plugin`, which listens and prints. What it says is made in `page` of what `core.advice` finds.
"""
