"""The lab's baselines: limits that other systems put before an engine instead of a price."""
