"""A grid of cells from a file, played into a folder in which every finished cell stays."""
