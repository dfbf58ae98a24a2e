"""How many workers a run is to have: how many gain something, how many fit, how many are its share of a host.

Nothing here knows processes or files. `worth` asks what more workers would gain, `claims` what a run says of
itself to others on the same machine, and `sharing` what each of them gets.
"""
