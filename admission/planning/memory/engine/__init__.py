"""The engine arguments that memory depends on, and what vLLM makes of them."""
