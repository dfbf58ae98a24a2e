"""The process that the user started: it asks the core what to do, does it, and ends the run.

Enter at `session` (what pytest calls) and `loop` (what happens next). Decisions are in `core.run`.
"""
