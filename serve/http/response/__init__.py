"""The way back: the answer, its headers, and its line in the access log."""
