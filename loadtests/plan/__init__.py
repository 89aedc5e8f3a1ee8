"""Capacity planning: what `sluice plan` reads and prints. Needs no vLLM, Ray or torch."""
