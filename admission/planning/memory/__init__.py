"""The memory model: model shape + engine arguments + GPU -> weights, KV bytes, KV capacity.

The functions are pure and read no files. The model does not depend on requests, and admission
decisions do not depend on it. Start at `budget.plan_memory`. When the bytes available for KV are
known, `kv_capacity.kv_capacity` alone gives the exact part.
"""
