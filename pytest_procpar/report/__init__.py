"""Consumers of run events: what the user reads."""
