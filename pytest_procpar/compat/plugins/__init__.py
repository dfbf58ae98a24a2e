"""Plugins and libraries that hold what processes must not share, and how each of them lets go of it.

Start at `after_fork`.
"""
