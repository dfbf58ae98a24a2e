"""The process that workers come from: by a fork after the collection, or as fresh interpreters.

Enter at `fork_server` and `spawn_server`; `session` is what pytest's session does there and in a worker.
"""
