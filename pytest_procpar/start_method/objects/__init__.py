"""Objects that must not be shared with a forked process: descriptors, databases, children, memory, contexts.

Enter at `descriptors`; `holders` tells who holds an object.
"""
