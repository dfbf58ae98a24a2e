"""The process that workers come from: by a fork after the collection, or as fresh interpreters.

Start at `fork_server` and `spawn_server`; `session` is pytest's session in these and in a worker.
"""
