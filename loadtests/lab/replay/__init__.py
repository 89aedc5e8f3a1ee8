"""A decision log as the lab plays it: what came, what became of it, what else could have."""
