"""Faults played against a running gateway: the figures of docs/measurements/faults.md."""
