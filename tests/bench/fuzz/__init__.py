"""Mutated bodies and headers against a running gateway; `python -m tests.bench.fuzz --help`."""
