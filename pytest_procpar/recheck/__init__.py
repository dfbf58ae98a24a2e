"""What happens after the last test: probes in throw-away processes, searches, surveys, patches.

Start at `recheck`. `core.inquiry` and `core.recheck` decide which probe is worth its time.
"""
