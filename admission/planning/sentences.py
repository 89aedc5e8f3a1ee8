"""The plan's sentences in English, in a form that can be translated.

A `Sentence` is its English text and keeps its key and values. A translation is a table with the
same keys (`loadtests/plan/shown/words.py`).
"""

from collections.abc import Mapping

ENGLISH = {
    # what a limit rests on
    "kv_note": "{blocks} blocks, {tokens} tokens a request, mean",
    "slots_note": "max_num_seqs",
    "no_ttft_note": "no TTFT bound given",
    "speed_unknown_note": "speed of this card is not known",
    "prefill_note": "a prompt alone takes {seconds:.2f} s",
    "decode_note": "TPOT {tpot_ms:.0f} ms; a step with a prompt {step_ms:.0f} ms",
    # why it does not fit, and what would
    "misfit_memory": "weights and working memory take {over_gib:.2f} GiB per GPU more than the"
    " {reserved_gib:.2f} GiB that gpu_memory_utilization {utilization:g} allows",
    "misfit_length": "one request of max_model_len {length} needs {needed_gib:.2f} GiB of KV"
    " per GPU; {kv_gib:.2f} GiB are available",
    "misfit_context": "max_model_len {length} is longer than the {context} tokens that the model"
    " takes, and vLLM refuses it",
    "misfit_workload": "requests of {tokens} tokens are longer than max_model_len {length}",
    "nearest_length": "max_model_len {length}",
    "nearest_split": "tensor_parallel_size {tp}",
    "nearest_format": "tensor_parallel_size {tp} with {weights} weights",
    "nearest_cards": "{gpus} x {gpu} with {split}",
    "nearest_none": "nothing close by: a smaller model or cards with more memory",
    # what of the model or the engine is left out
    "not_understood": "not understood in config.json, and not counted: {keys}",
    "not_counted": "not counted: {what}",
    # why a layout is the best
    "reason_alone": "{name} carries {requests:.0f} requests at once; {binding} binds;"
    " no narrower split carries more within the SLO",
    "reason_narrow": "{name} carries {requests:.0f} requests at once ({binding} binds),"
    " {other} {other_requests:.0f} ({other_binding}): wide TP buys memory"
    " ({other_tokens:,.0f} KV tokens against {tokens:,.0f}) and pays for it in all-reduces",
    "reason_narrow_assumed": "{name} carries {requests:.0f} requests at once ({binding} binds),"
    " {other} {other_requests:.0f} ({other_binding}): wide TP buys memory"
    " ({other_tokens:,.0f} KV tokens against {tokens:,.0f}) and pays for it in all-reduces,"
    " over a link that has not been measured",
    # the rule of thumb
    "rule_memory": "memory",
    "rule_memory_why": "what torch sees",
    "rule_weights": "weights",
    "rule_weights_why": "replicas included",
    "rule_kept": "kept back",
    "rule_kept_why": "activation, graphs, NCCL, context",
    "rule_left": "left for KV",
    "rule_request": "per request",
    "rule_request_why": "{tokens} tokens x KV bytes per token",
    "rule_by_kv": "at once, by KV",
    "rule_by_kv_why": "same length",
    "rule_in_slo": "at once, within SLO",
    "rule_in_slo_why": "this workload; {binding} binds",
    # workloads
    "source_chat": "ShareGPT prompts answered by Qwen3-32B, means",
    "source_rag": "assumed: some eight passages of 500 tokens, short answer",
    "source_long_context": "Mooncake's conversation trace, means, no prefix cached",
    "source_code": "Azure's code completion trace of 2023, means",
    "source_scenario": "lengths as the load test's scenario {name} draws them",
    "source_flags": "--isl, --osl",
    "source_trace": "{requests:,} requests of {file}; prompts p50 {isl_p50:,} p90 {isl_p90:,}"
    " p99 {isl_p99:,}, answers p50 {osl_p50:,} p90 {osl_p90:,} p99 {osl_p99:,}",
    # warnings
    "bits_mixed": "{name} mixes formats; all of the weights are counted with {bits} bits",
    "bits_guessed": "{name} does not state the number of bits; 8 assumed; set --weight-bits",
    "too_long": "{share:.1%} of the trace's requests are longer than max_model_len {length}:"
    " they would be refused and are left out here",
    "offered_more": "the trace offers {offered:.2f} requests/s, more than the"
    " {sustained:.2f} that are sustained",
    # how long a step may get
    "step_even": "a full step of {step} tokens takes {step_ms:.0f} ms: every token comes within the"
    " TPOT bound, even next to a long prompt",
    "step_uneven": "a full step of {step} tokens takes {step_ms:.0f} ms, and every token next to a"
    " long prompt waits for it; max_num_batched_tokens {even} makes it {even_ms:.0f} ms and"
    " carries {even_rate:.2f} requests/s instead of {rate:.2f}",
    # settings that can never take effect
    "idle_headroom": "kv_headroom_ratio has no effect: {slots} slots x {tokens:,} tokens are"
    " {share:.0%} of the cache",
    "idle_slots_kv": "max_num_seqs {slots} is never reached: the cache holds {held:,} requests of"
    " {tokens:,} tokens",
    "idle_slots_static": "max_num_seqs {slots} is never reached: policy static admits {limit}",
    "idle_step": "max_num_batched_tokens {step} is never filled: {slots} slots and a prefill"
    " backlog of {backlog:,} tokens make {most:,}",
    "idle_model_len": "max_model_len {length} can never be used: one request may hold"
    " {usable:,} tokens of the cache",
    "idle_model_len_trace": "max_model_len {length} is never reached: the trace's longest request"
    " has {longest:,} tokens",
    "idle_backlog": "prefill_backlog_max_tokens {backlog:,} is never reached: {slots} slots x"
    " {prompt:,} prompt tokens are {most:,}",
    "idle_queue_tokens": "queue.max_tokens {bound} is never reached: {requests:,} waiting requests"
    " of {tokens:,} tokens are {most:,}",
    "idle_queue_requests": "queue.max_requests {bound} is never reached: queue.max_tokens"
    " {tokens:,} are {most:,} requests of {each:,} tokens",
    "idle_queue_deadline": "queue.max_requests {bound} is never reached: at {rate:.2f} requests/s"
    " {most:,} start within {deadline:g} s, and requests that would wait longer are refused at"
    " once",
    "idle_queue_none": "queue.max_requests {bound} is never reached: with queue.max_tokens 0 no"
    " request can wait",
    "idle_static_unused": "static.limit {limit} is not read: the policy is {policy}",
    "idle_static_high": "static.limit {limit} is never reached: max_num_seqs is {slots}",
    "idle_under_static": "{setting} is not read: policy static counts places, not tokens",
    "idle_worst_case": "{setting} is not read: policy worst_case takes max_tokens",
    "idle_mode": "mode {mode}: no setting below it refuses a request",
}


class Sentence(str):
    """English text; `key` and `values` allow a translation. Values may be Sentences."""

    key: str
    values: Mapping[str, object]

    def __new__(cls, key: str, /, **values: object) -> "Sentence":
        """The sentence with that key; KeyError for an unknown key, the caller's bug."""
        said = super().__new__(cls, ENGLISH[key].format(**values))
        said.key, said.values = key, values
        return said
