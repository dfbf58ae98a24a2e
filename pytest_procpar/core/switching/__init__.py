"""``--procpar-try``: what a suite's runs in several ways show, and what follows for a user who may switch.

Start at `tryout`.
"""
