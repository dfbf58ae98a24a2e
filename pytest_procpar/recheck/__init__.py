"""What happens after the last test: probes in throw-away processes, searches, surveys, patches.

Enter at `recheck`. Which probe is worth its time is decided in `core.inquiry` and `core.recheck`.
"""
