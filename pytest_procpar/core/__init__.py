"""The pure core: decides what happens next, and does none of it.

Import a module as ``import pytest_procpar.core.run.events as events``, not from the package. Between runs in
one process, pytester forgets modules but not the attributes of packages that stay, and those attributes are
the old modules.
"""
