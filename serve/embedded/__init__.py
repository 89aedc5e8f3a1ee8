"""The embedded model, prepared once into the cache folder."""
