"""vLLM without the arithmetic: its own scheduler and KV cache, modelled step times, filler text."""
