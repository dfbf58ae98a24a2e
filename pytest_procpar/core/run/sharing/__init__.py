"""What tests share and how long they take, and what follows from that for who runs which test.

Used where tests need fixtures of module or class scope, or where it is known how long they take.
"""
