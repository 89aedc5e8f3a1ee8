"""The labels of a plan in English; its sentences are in `admission.planning.sentences`."""

LABELS = {
    "language": "English",
    "gap": " ",  # between sentences
    "title": "Capacity plan: {model} on {gpus} x {gpu}",
    # the answer first
    "lead": "{gpus} x {gpu} can carry {requests:,.0f} requests of {workload} at once{range}{users}"
    " as {layout} in {weights}{condition}",
    "lead_none": "{gpus} x {gpu} can keep this SLO for no request of {workload} (0 to {high:,.0f}"
    " at once), not even as {layout} in {weights}{condition}",
    "also": "; {requests:,.0f}{range}{users} as {layout} in {weights}{condition}",
    "also_asked": "; {requests:,.0f}{range}{users} as asked: {layout} in {weights}{step}",
    "step_of": ", {step:,} tokens a step",
    "range_of": " ({low:,.0f} to {high:,.0f}; {rate}/s)",
    "rate_of": " ({rate}/s)",
    "users_of": ", about {users:,} users,",
    "if_INT4": " if you may use 4 bits",
    "if_INT8": " if you may use 8 bits",
    "if_FP8": " if you may use 8 bits",
    "if_FP16": " with weights in 16 bits",
    "end": ".",
    "within": "Within {slo}; {why}.",
    "within_memory": "By memory alone, as the speed of this card is not known; {why}.",
    "within_asked": " As asked, {binding} binds.",
    "why_kv": "kv binds: the cache is full",
    "why_slots": "slots bind: max_num_seqs allows no more",
    "why_prefill": "prefill binds: with more, first tokens come too late",
    "why_decode": "decode binds: with more, tokens come too slowly",
    "thinking": "Users think {think:g} s between requests (--think); ",
    "lengths": "{name}: {isl:,} tokens in, {osl:,} out.",
    "hint": "Modelled, not measured. -v explains it; --write FILE saves the profile.",
    "verdict_misfit": "Does not fit: {misfit}; nearest that fits: {nearest}.",
    # what was asked
    "title_asked": "In detail",
    "engines": "{gpus} x {gpu}: {replicas} engine(s) of TP {tp} PP {pp}, {weights} weights,"
    " vLLM {version}",
    "arguments": "max_model_len {length}, max_num_seqs {slots}, max_num_batched_tokens {step}",
    "workload": "workload {name}: {isl} tokens in, {osl} out, none cached",
    "source": "({text})",
    "offered": "arrivals: {rate:.2f} requests/s on average",
    "slo": "SLO {slo}",
    "slo_none": "none",
    "warning": "warning: {text}",
    # memory
    "title_memory": "Memory of one GPU",
    "unit_memory": " (GiB; = exact, ~ estimated)",
    "part_weights": "weights",
    "part_activation": "activation",
    "part_graphs": "graphs",
    "part_non_torch": "non_torch",
    "part_kv": "kv",
    "part_outside": "outside",
    "part_card": "card",
    "range": "{low} to {high}",
    "ranged": "{expected} ({low} to {high})",
    "exactly": "{value} (exact)",
    "memory_caption": "Where the memory of one card goes. Solid parts are exact, hatched ones"
    " estimated; the lines below the bar are their ranges. gpu_memory_utilization leaves the part"
    " outside to CUDA's context, NCCL and CUDA graphs.",
    "title_capacity": "KV cache of one engine",
    "bytes_per_token": "bytes per token",
    "bytes_each": "{all:,}; {each:,} on each GPU",
    "tokens": "tokens",
    "blocks": "blocks",
    "blocks_of": "{blocks:,} of {size}",
    "at_max_model_len": "at max_model_len",
    "requests_range": "{expected:.2f} requests ({low:.2f} to {high:.2f})",
    # limits
    "title_limits": "Four limits",
    "unit_limits": ", all engines together (< binds)",
    "limit_kv": "kv",
    "limit_slots": "slots",
    "limit_prefill": "prefill",
    "limit_decode": "decode",
    "limit": "limit",
    "at_once": "at once",
    "per_s": "req/s",
    "note": "note",
    "binds": "binds",
    "sustained": "sustained",
    "sustained_line": "sustained: {load}; {binding} binds",
    "load": "{expected:.0f} at once ({low:.0f} to {high:.0f}), {rate} requests/s",
    "no_request": "No request keeps this SLO: loosen it or choose another layout.",
    "people_line": "people: {rate}/s x ({residence:.1f} s in the engine + {think:g} s of thinking)"
    " = {users:,}",
    "other_link": "Assumed: all-reduces between {gpu}s have not been measured. The numbers above"
    " use the table of a PCIe 4 server with L40S. Behind one PCIe switch (assumed too): {load};"
    " {binding} binds.",
    "limits_caption": "Requests at once that each limit allows; the smallest binds. The line is"
    " the range of the KV estimate.",
    "with_rate": "{requests} ({rate} req/s)",
    "requests_axis": "requests at once",
    # context
    "title_context": "Concurrency over context length",
    "unit_context": " (prompt + answer)",
    "context_caption": "The requests at once that each limit allows as requests get longer,"
    " answers as in the workload. The thick line is what is sustained, in the colour of the limit"
    " that binds; the dot is the workload.",
    "context_tokens": "tokens",
    "context_axis": "tokens of a request, prompt + answer",
    "this_workload": "this workload",
    "sustained_switched": "sustained, one switch",
    "switched_caption": "Dashed: what is sustained if all cards are behind one PCIe switch"
    " (assumed).",
    # layouts
    "title_layouts": "The same GPUs in other ways",
    "unit_layouts": " (* best, > as asked; users think {think:g} s)",
    "layout": "layout",
    "weights": "weights",
    "kv_tokens": "KV tokens",
    "step": "step",
    "users": "users",
    "misfit": "does not fit: {why}",
    "nothing_fits": "Nothing fits.",
    "sentence": "{text}.",
    # rule of thumb
    "title_rule": "The rule of thumb beside the model",
    "rule": "rule",
    "model": "model",
    "error": "off by",
    "line": "line",
    "why": "why",
    "rule_sum": "The rule says {rule:.0f}. The cache alone holds {by_kv:.0f} requests of"
    " {tokens} tokens; of this workload {sustained:.0f} are carried within the SLO, because"
    " {binding} binds, which the rule ignores.",
    "rule_sum_kv": "The rule says {rule:.0f}. The cache alone holds {by_kv:.0f} requests of"
    " {tokens} tokens; of this workload {sustained:.0f} are carried, and KV is what binds.",
    # advice
    "title_advice": "Recommended",
    "advice": "{layout}, {weights}; {load}",
    "title_idle": "Settings without effect",
    "unit_idle": " for this workload",
    "idle_none": "none found",
    "footer": "Exact where vLLM is exact. Step times are a prior; no run on these cards has checked"
    " them. How to read this page: docs/reference/plan.md.",
}
