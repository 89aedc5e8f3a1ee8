"""Faults played against a running gateway; every figure of docs/reliability.md comes from here."""
