"""What the user asked for: options, ini values and environment, read once into one frozen `Settings`.

Start at `settings`. Knows nothing of processes: a wrong value is a usage error before any process exists.
"""
