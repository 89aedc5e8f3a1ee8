"""Why single rows of the logs lie far from the model: one line each. None of them is left out."""

from tests.admission.planning.memory_cases import Case, cases

# Beyond 1 % although the available memory is the logged one.
GIVEN_MEMORY = {
    "K025": "PP 2: the log is of stage 0; blocks are those of the last stage, which also samples",
    "K026": "PP 4: as K025; from scratch, where every stage is modelled, the row is met",
    "K123": "TP 4: one rank's memory is printed, blocks are the minimum over ranks",
    "K133": "TP 2, V0: rank 0 is printed (8.69 GiB); rank 1 had 7.46 GiB, which decides",
    "K151": "exact with fp8 KV and MTP of 3 tokens, which the row leaves blank",
    "K152": "development build with the old token line; 67,728 = 83 x 816: blocks of 816 tokens"
    " mean 4 to 6 speculative tokens, which the row leaves blank",
    "K155": "exact with fp8 KV and MTP of 3 tokens, which the row leaves blank",
    "K156": "exact with fp8 KV and MTP of 3 tokens, which the row leaves blank",
    "K157": "needs about 80 more blocks per request than the layers do: a draft model with a"
    " sliding window fits, the row states none",
    "K158": "K158 (fp8 KV) and K159 (16 bits) agree on about 48 more blocks per request: as K157",
    "K159": "as K158",
    "K201": "K201 and K202 together fit (memory - 0.24 GiB): a fixed part that vLLM's own rule has"
    " not; KV dtype, card and release are not stated",
}

_NO_VERSION = "no release given: 0.32.0 assumed"
_NO_SHARE = "no utilization given: the release's default assumed"

# Beyond 8 % when everything is predicted.
FROM_SCRATCH = {
    "K085": "self-contradictory: 64.38 + 7.38 + 0.13 GiB used is more than 0.90 x 79.18; at 0.95"
    " the logged 3.33 GiB comes out to 0.01",
    "K091": "logged peak 2.12 GiB has no sampler in it, as if top-k and top-p were off; all other"
    " logs of 0.11 have it (4.9 GiB here)",
    "K094": "TP 2 over two nodes: NCCL takes about 1 GiB more than inside a server",
    "K100": f"{_NO_SHARE} (0.90); logged memory fits 0.95 and is only 6.8 GiB of 80",
    "K112": f"{_NO_VERSION}; {_NO_SHARE}; October 2025: with 0.11 and 0.90 it is met to 0.2 %",
    "K113": f"{_NO_VERSION}; {_NO_SHARE}; as K112, to 2.5 %",
    "K114": f"{_NO_VERSION}; {_NO_SHARE}; as K112, to 3 %",
    "K118": "V0 profiles Llama 3.2 Vision with images: a peak of 36.63 GiB; not modelled",
    "K123": f"{_NO_VERSION}; {_NO_SHARE}; small share of the card (8 of 80 GiB)",
    "K129": "a change of 2023 that was tried out (K128 is the same start without it, met to 0.5 %)",
    "K130": f"{_NO_VERSION}; {_NO_SHARE}; 18.78 + 3.2 GiB exceed 0.90 of a 24 GB card",
    "K136": "V0 of 0.8.3 on an Ampere card (V1 assumed); 1.7 of 22 GiB left, and weights are logged"
    " 1.3 GiB above the tensors",
    "K137": f"{_NO_VERSION} (0.4 in the notes); {_NO_SHARE}; T4 with 2 GiB left",
    "K138": f"{_NO_VERSION}; 64,000 tokens per step: the experts' term is fitted to 8,192",
    "K140": f"{_NO_SHARE}; tokens equal max_model_len, so the poster may have rounded",
    "K143": f"{_NO_SHARE}; 4-bit checkpoint whose layout is recalled, and printed tokens"
    " are multiplied by decode context parallelism of 8,"
    " which no column states",
    "K144": f"{_NO_SHARE}; draft model (block sizes differ) not stated",
    "K145": f"{_NO_SHARE}; weights logged 2.6 GiB above 4 bits: parts kept in 16; draft not stated",
    "K146": f"{_NO_SHARE}; as K145",
    "K151": "as given memory: fp8 KV and MTP not stated",
    "K152": "as given memory: old token line, speculative tokens not stated",
    "K155": "as given memory: fp8 KV and MTP not stated",
    "K156": "as given memory: fp8 KV and MTP not stated",
    "K157": "as given memory: KV dtype and draft model not stated",
    "K158": "as given memory: KV dtype and draft model not stated",
    "K159": "as given memory: KV dtype and draft model not stated",
    "K164": f"{_NO_VERSION}; {_NO_SHARE}",
    "K171": f"{_NO_VERSION} (V0 in the notes); 4 of 22 GiB left",
    "K172": f"{_NO_VERSION} (V0 in the notes); 4 of 22 GiB left",
    "K173": f"{_NO_VERSION} (V0 in the notes); as V0 the logged peak 1.09 is met to 0.01 GiB",
    "K192": f"{_NO_VERSION}; 0.5 of 24 GiB left: 0.2 GiB of error is 40 %",
    "K193": f"{_NO_VERSION}; as K192, same flags, estimate of graphs 0.86",
    "K194": f"{_NO_VERSION}; as K192, same flags, estimate of graphs 1.59",
    "K195": f"{_NO_VERSION}; 1.1 of 24 GiB left",
    "K206": "logged peak 9.37 GiB is eight times 256 sequences' sampler: max_num_seqs 2,048 fits to"
    " 0.1 GiB and is not stated",
    "K209": "weights were offloaded to the CPU: 0.80 GiB of 29 on the card, no column says so",
}

# Rows that log KV but lack what any prediction needs.
NOT_PREDICTABLE = {
    "K124": "16 cards, TP and PP not stated",
    "K134": "no GPU, no TP",
    "K181": "no GPU",
    "K204": "no GPU",
}


def predictable() -> list[Case]:
    """All rows that state enough for a prediction from scratch."""
    return [case for case in cases() if case.id not in NOT_PREDICTABLE]
