"""Outputs of a plan: terminal, page and JSON, in English and Chinese."""
