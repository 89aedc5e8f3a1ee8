"""Compares policies on one trace: tries settings, finds 1.0 x, computes differences."""
