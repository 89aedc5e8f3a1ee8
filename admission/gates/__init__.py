"""Whether one more request may start now: KV headroom, time per output token, time to first token.

Each gate answers with the limit that binds. They read the ledger and hold what corrects them: the
KV margin, the forecast errors, the signs of life of the engine.
"""
