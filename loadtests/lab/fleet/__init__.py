"""Compares routing policies for several engines, in virtual time."""
