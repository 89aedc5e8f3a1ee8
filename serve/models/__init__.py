"""Shapes of models: the catalogue, and config.json files in the encodings that people have."""
