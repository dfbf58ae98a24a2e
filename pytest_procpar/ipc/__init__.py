"""How processes of a run reach each other: streams, inboxes, shared memory, and files that outlive a process.

Enter at `transport`. What is said is in `core.protocol`.
"""
