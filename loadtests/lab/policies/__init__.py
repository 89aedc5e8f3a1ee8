"""Limits that others put before an engine, in place of a price: the lab's baselines."""
