"""The engine arguments that memory depends on, and how vLLM interprets them."""
