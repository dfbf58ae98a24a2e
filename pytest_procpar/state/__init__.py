"""The state of a process that tests share: found, copied, compared, named, and put back slot by slot.

Start at `snapshot`.
"""
