"""Tests in a process of their own, forked from a worker that runs no test itself, or from a plain run.

Start reading at `isolating_runner`.
"""
