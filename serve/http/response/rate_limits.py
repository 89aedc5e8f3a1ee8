"""What is left of a tenant's budgets, in OpenAI's header names."""

from admission.queue.budgets import Allowance, Standing
from serve.http.request.intake import RawHeaders

_HOUR_S, _MINUTE_S = 3600, 60


def rate_limit_headers(standing: Standing | None) -> RawHeaders:
    """`x-ratelimit-limit-`, `-remaining-` and `-reset-` of each budget of the tenant."""
    if standing is None:
        return []
    return [*_headers(b"requests", standing.requests), *_headers(b"tokens", standing.tokens)]


def _headers(unit: bytes, allowance: Allowance | None) -> RawHeaders:
    if allowance is None:
        return []
    return [
        (b"x-ratelimit-limit-" + unit, str(allowance.limit).encode()),
        (b"x-ratelimit-remaining-" + unit, str(allowance.remaining).encode()),
        (b"x-ratelimit-reset-" + unit, duration(allowance.full_in_s).encode()),
    ]


def duration(seconds: float) -> str:
    """A duration in Go's notation, as OpenAI's clients read it: 6m0s, 1s, 120ms, 0s."""
    if seconds < 1:
        thousandths = round(seconds * 1000)
        return f"{thousandths}ms" if 0 < thousandths < 1000 else f"{round(seconds)}s"  # noqa: PLR2004 - 1000 ms are 1 s
    whole = round(seconds)
    hours, minutes = whole // _HOUR_S, whole % _HOUR_S // _MINUTE_S
    parts = [f"{hours}h"] if hours else []
    parts += [f"{minutes}m"] if minutes or hours else []
    return "".join([*parts, f"{whole % _MINUTE_S}s"])
