"""The process that the user started: it asks the core what to do, does it, and ends the run.

Start at `session` (what pytest calls) and `loop` (what happens next); `hearing` takes in messages, and
`course` is the only way to the core, where decisions are made (`core.run`).
"""
