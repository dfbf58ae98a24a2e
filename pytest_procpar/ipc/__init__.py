"""How processes of a run reach each other: streams, inboxes, shared memory, and files that outlive a process.

Start at `port` in the controller, at `link` and `inbox` elsewhere. The messages are in `core.protocol`.
"""
