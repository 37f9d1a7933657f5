"""Frozen values and their state machines: what everything else speaks about."""
