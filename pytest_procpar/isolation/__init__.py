"""Tests in a process of their own, forked from a worker that runs no test itself, or from a plain run.

Start at `isolating_runner`.
"""
