"""Objects that must not be shared with a forked process: descriptors, databases, children, memory, contexts.

Start at `descriptors`; `holders` finds the variable that holds an object.
"""
