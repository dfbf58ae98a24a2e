"""What would make a suite faster, worked out from one run: nothing here knows pytest or prints.

Start at `advice`. It takes what every worker ran, with its times, and knows not who decided that.
"""
