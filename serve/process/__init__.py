"""Starts Ray, HAProxy and the engines together, watches them, and ends them together."""
