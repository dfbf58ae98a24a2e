"""What processes say to each other: messages, and the frames that carry them.

Start at `codec`. A body from another process is data: it is checked before it is used, and never executed.
"""
