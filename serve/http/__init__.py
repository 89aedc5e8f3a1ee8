"""The HTTP edge: who may come in, by which way, and how a request ends."""
