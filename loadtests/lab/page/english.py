"""The labels of the lab's page in English."""

LABELS = {
    "language": "English",
    "title": "Admission policies on vLLM's scheduler, in virtual time",
    "verdict": "{first} serves {low} to {high} of what the best known schedule serves ({cells}); "
    "beyond chance it is behind a baseline in {behind} of {pairs} comparisons, ahead in {ahead}.",
    "cells_one": "one cell",
    "cells": "{count} cells",
    "title_asked": "What was played",
    "cell": "Cell",
    "trace": "Trace",
    "rate": "1/s",
    "scale": "x trace",
    "kv": "KV tokens",
    "kv_planned": "planned",
    "bounds": "TTFT, TPOT",
    "offered": "Counted",
    "left_out": "Too long",
    "title_shares": "Served in time, of all offered",
    "shares_caption": "Complete, with TTFT and TPOT within their bounds, over all offered "
    "requests, refused ones too. Large: {first}. Upright line: the best known schedule, oracle_b.",
    "axis_share": "% of all offered, served in time",
    "axis_share_short": "% in time",
    "bound": "bound",
    "title_ours": "{first} beside what was possible",
    "of_oracle": "of oracle_b",
    "of_bound": "of the bound",
    "of_accepted": "of accepted",
    "refused": "Refused",
    "preemptions": "Preemptions",
    "kv_used": "KV used",
    "ours_note": "oracle_b: the most that any schedule played here served. The bound: a linear "
    "programme that no schedule exceeds; loose where answers are long.",
    "title_against": "{first} less each baseline, in points of all offered",
    "against_note": "With the 95 % interval of a bootstrap over the paired requests; marked cells "
    "have a baseline that is ahead beyond it.",
    "title_sizes": "Served in time by size",
    "sizes_caption": "Four buckets of equally many requests by prompt + answer.",
    "axis_share_of_size": "% of the bucket, served in time",
    "up_to": "{cell}  to {tokens:,}",
    "title_gap": "Where the rest is lost",
    "gap_caption": "Lengths: what the same policy gains by knowing them (oracle_a). Order: what "
    "the best known schedule gains beyond that, or beyond ours where lengths were no help. Step "
    "times are exact in the lab and cost nothing.",
    "gap_lengths": "lengths",
    "gap_order": "order",
    "gap_bound": "to the bound",
    "title_noise": "The price of wrong lengths",
    "noise_caption": "oracle_a with true lengths times a log-normal factor. Dashed: {first}, which "
    "knows none.",
    "axis_sigma": "sigma of the factor's logarithm",
    "title_sweep": "Static limits",
    "sweep_caption": "So many requests at once. Dashed: {first}.",
    "axis_n": "N at once",
    "title_ablations": "What each part is worth",
    "ablations_note": "% of all offered served in time, and preemptions, without one part.",
    "whole": "whole",
    "footer": "sluice lab: vLLM's scheduler and cache, the gateway's admission, modelled step "
    "times. docs/explanation/lab.md says what is left out.",
}
