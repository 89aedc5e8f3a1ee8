"""Plays a grid of cells from a file; a folder keeps every finished cell."""
