"""Which worker runs which group under ``--dist=stable``: the same one as before, whatever tests are added.

Used under no other mode.
"""
