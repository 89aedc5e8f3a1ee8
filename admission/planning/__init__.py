"""Capacity of a server, predicted from a model's shape and a card's data sheet before it runs.

Admission decisions do not depend on it. The gateway takes its prior for step times from here, and
compares the planned KV cache with the real one. Accuracy and limits: docs/explanation/capacity.md.
"""
