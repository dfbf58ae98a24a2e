"""The process that the user started: it asks the core what to do, does it, and ends the run.

Start at `session` (what pytest calls) and `loop` (what happens next). Decisions are made in
`core.run`.
"""
