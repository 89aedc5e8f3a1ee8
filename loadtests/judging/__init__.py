"""Judges records against an SLO and searches for the limit. All functions are pure."""
