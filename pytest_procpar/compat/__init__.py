"""Other people's software: pytest's private parts, pytest-xdist's surface, plugins and libraries.

The only package that knows any of them. A version that changes one is dealt with here.
"""
