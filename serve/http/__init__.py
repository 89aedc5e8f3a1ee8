"""The HTTP edge: which requests are let in, by which route, and how each of them ends."""
