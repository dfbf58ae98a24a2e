"""The run as a state machine: events in, effects out; who runs which test, and who has waited too long.

Start at `run` (`Run.handle`) and `vigil`. Knows no clock, no process and nothing of the re-check's questions.
"""
