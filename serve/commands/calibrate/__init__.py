"""`sluice calibrate`: puts a load on an engine, measures its steps, and fits the linear form."""
