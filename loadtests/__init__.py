"""Load tests: they know the gateway by its HTTP endpoint only."""
