"""Capacity planning: the input and output of `sluice plan`. Needs no vLLM, Ray or torch."""
