"""What a request will hold: KV blocks over time, from its prompt, output length and shared prefix.

Owns what is learned of output lengths and of cached prefixes. Decides nothing.
"""
