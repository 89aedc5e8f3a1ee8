"""Ray, HAProxy and everything they start: begun together, ended together."""
