"""What a model is made of, layer by layer, read from its config.json."""
