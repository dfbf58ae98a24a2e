"""How processes of a run reach each other: streams, inboxes, shared memory, and files that outlive a process.

Enter at `transport`. The messages are in `core.protocol`.
"""
