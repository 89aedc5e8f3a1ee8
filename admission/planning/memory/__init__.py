"""The memory room: model shape + engine arguments + GPU -> weights, KV bytes, KV capacity.

Values in, values out: no file is read here. It knows nothing of requests, and admission's decisions
know nothing of it. `budget.plan_memory` is the front door; `kv_capacity.kv_capacity` alone gives
the exact part, when the bytes available for KV are known.
"""
