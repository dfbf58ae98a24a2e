"""``--procpar-try``: what a suite's runs in several ways come to, and what that means for whoever may switch.

Enter at `tryout`.
"""
