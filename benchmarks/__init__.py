"""Side-by-side measurements of parallel pytest runners: ``python -m benchmarks``."""
