"""What native libraries' threads survive a fork, measured: ``python -m benchmarks.native_threads``."""
