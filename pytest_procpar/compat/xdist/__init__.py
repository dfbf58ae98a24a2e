"""The surface of pytest-xdist that plugins and conftests know, for when it is not installed.

Start at `objects` (the workers as plugins see them) and `nodes`.
"""
