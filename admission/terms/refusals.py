"""The refusals as sentences for the client's user, with reason, limit and time to return."""

from admission.terms.decision import Limit, Reason, Rejected

_DRAIN_RETRY_S = 5.0  # long enough for another server to be found
_DOWN_RETRY_S = 30.0  # a small engine is back by then; a large one says so again
_RETRY_MIN_S = 1.0  # sooner than that nothing has changed

_CONTENDED: dict[Limit, tuple[Reason, str]] = {
    Limit.KV: (Reason.KV_CAPACITY, "The KV cache is taken"),
    Limit.SLOTS: (Reason.SLOTS, "Every sequence slot is taken"),
    Limit.PREFILL: (Reason.TTFT_SLO, "Too many prompts wait to be computed"),
    Limit.DECODE: (Reason.TPOT_SLO, "Another answer would slow the running ones down"),
}


def engine_down() -> Rejected:
    """The engine died, or no replica runs: one answer for both."""
    why = "No engine serves at the moment: it is starting or being restarted. Try again shortly."
    return Rejected(Reason.ENGINE_DOWN, why, retry_after_s=_DOWN_RETRY_S)


def engine_silent(silent_s: float) -> Rejected:
    """The engine has given no sign of life for longer than a step can take."""
    why = f"The engine has not answered for {silent_s:.0f} s. It is replaced unless it recovers."
    return Rejected(Reason.ENGINE_DOWN, why, retry_after_s=_DOWN_RETRY_S)


def no_first_token(waited_s: float, *, allowed_s: float) -> Rejected:
    """An accepted request that the engine has not begun to answer long after its deadline."""
    return Rejected(
        Reason.TTFT_SLO,
        f"No token was computed within {waited_s:.1f} s; this request allows {allowed_s:.1f} s.",
        limit=Limit.PREFILL,
        retry_after_s=_RETRY_MIN_S,
    )


def draining() -> Rejected:
    """The gateway takes nothing new."""
    why = "The gateway is draining: it finishes what runs and takes nothing new."
    return Rejected(Reason.DRAINING, why, retry_after_s=_DRAIN_RETRY_S)


def hopelessly_long(body_chars: int, max_model_len: int) -> Rejected:
    """A body too long to fit whatever its tokens are."""
    return Rejected(
        Reason.NEVER_FITS,
        f"The body has {body_chars} characters; the model takes {max_model_len} tokens in all.",
        limit=Limit.KV,
    )


def too_many_sequences(asked: int, most: int) -> Rejected:
    """More completions at once than the engine runs."""
    return Rejected(
        Reason.NEVER_FITS,
        f"The request needs {asked} sequences at once; the engine runs at most {most}. "
        "Send fewer prompts or a smaller n.",
        limit=Limit.SLOTS,
        param="n",
    )


def larger_than_cache(needed_tokens: int, capacity_tokens: int) -> Rejected:
    """More KV cache than there is, however long the request waits."""
    return Rejected(
        Reason.NEVER_FITS,
        f"The request would hold {needed_tokens} tokens of KV cache; the whole cache holds "
        f"{capacity_tokens}. Shorten the prompts, or lower n or max_tokens.",
        limit=Limit.KV,
        param="max_tokens",
    )


def not_rendered(allowed_s: float, *, retry_after_s: float) -> Rejected:
    """The prompt waited for its turn to be rendered until its deadline."""
    return Rejected(
        Reason.TTFT_SLO,
        f"The prompt was not rendered within the {allowed_s:.1f} s allowed: too many "
        "prompts arrive at once.",
        limit=Limit.PREFILL,
        retry_after_s=retry_after_s,
    )


def unsupported(message: str, *, param: str) -> Rejected:
    """A field that this gateway or its engine does not support."""
    return Rejected(Reason.UNSUPPORTED, message, param=param)


def beam_search() -> Rejected:
    """Beams share and copy cache blocks, so no price can be promised."""
    message = "Beam search is not priced: its beams share and copy cache blocks. Use n instead."
    return unsupported(message, param="use_beam_search")


def queue_full(requests: int, own: int, limit: Limit | None, *, passes_in_s: float) -> Rejected:
    """The queue is full: `requests` wait, `own` of them the tenant's, served in `passes_in_s`."""
    return Rejected(
        Reason.QUEUE_FULL,
        f"The queue is full: {requests} requests, {own} of them from this tenant.",
        limit=limit,
        retry_after_s=max(_RETRY_MIN_S, passes_in_s),
    )


def over_rate(what: str, per_minute: int, left: int, needed: int, *, wait_s: float) -> Rejected:
    """The tenant's budget of requests or tokens per minute is used up for `wait_s`."""
    return Rejected(
        Reason.TENANT_BUDGET,
        f"This tenant may take {per_minute} {what} per minute; {left} are left, the request "
        f"needs {needed}.",
        retry_after_s=wait_s,
    )


def over_share(held: int, needed: int, share: int, *, wait_s: float) -> Rejected:
    """The tenant's requests take its share of the KV cache; all in tokens."""
    return Rejected(
        Reason.TENANT_BUDGET,
        f"This tenant's requests may hold {share} tokens of KV cache; those running and waiting "
        f"will hold {held}, the request needs {needed}.",
        limit=Limit.KV,
        retry_after_s=max(_RETRY_MIN_S, wait_s),
    )


def above_share(needed: int, share: int) -> Rejected:
    """The request alone is larger than its tenant's share of the KV cache; both in tokens."""
    return Rejected(
        Reason.NEVER_FITS,
        f"The request would hold {needed} tokens of KV cache; this tenant may hold {share}. "
        "Shorten the prompts, or lower n or max_tokens.",
        limit=Limit.KV,
        param="max_tokens",
    )


def too_long(limit: Limit, *, needed_s: float, allowed_s: float) -> Rejected:
    """The first token would come after the deadline, because `limit` binds."""
    reason, what = _CONTENDED[limit]
    return Rejected(
        reason,
        f"{what}: the first token would take about {needed_s:.1f} s, this request allows "
        f"{allowed_s:.1f} s.",
        limit=limit,
        retry_after_s=max(_RETRY_MIN_S, needed_s - allowed_s),
    )
