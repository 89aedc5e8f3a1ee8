"""How much a server can carry, from a model's shape and a card's data sheet, before anything runs.

Nothing that decides needs it; the gateway takes a prior for step times from here and compares the
planned KV cache with the real one. Accuracy and its limits: docs/explanation/capacity.md.
"""
