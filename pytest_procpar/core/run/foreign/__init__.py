"""Runs whose tests a plugin's own scheduler deals out: what it is told, and what is made of its answers.

Start at `plugin_scheduling`. The scheduler itself is in `compat/xdist/plugin_scheduler`: this package talks
to it by effects and events only.
"""
