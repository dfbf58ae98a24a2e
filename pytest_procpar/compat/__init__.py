"""The only place that knows pytest's private API and the surface of pytest-xdist."""
