"""Other people's software: pytest's private parts, pytest-xdist's surface, plugins and libraries.

Only this package depends on them. If a new version changes one of them, the fix goes here.
"""
