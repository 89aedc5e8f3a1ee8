"""A plan as people and programs read it: terminal, page, JSON, in English and Chinese."""
