"""The pure core: decides what happens next, and does none of it.

A module is imported as ``import pytest_procpar.core.run.events as events``, not from the package: between
runs in one process pytester forgets modules, but not the attributes of packages that stay, which are old
modules.
"""
