"""The one place that touches vLLM: arguments, engine client, OpenAI app, statistics.

Each hook on vLLM that is not a documented interface has a test of its own in
`tests/live/engine/test_vllm_hooks.py`, which fails loudly when a new vLLM moves it.
"""
