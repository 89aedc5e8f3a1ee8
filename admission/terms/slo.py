"""What users were promised, as one line of text: `ttft_p95<=2s,tpot_p95<=100ms,success>=99%`."""

import math
import re
from dataclasses import dataclass

DEFAULT_SLO = "ttft_p95<=5s,tpot_p95<=200ms,success>=99%"  # 5 s to begin, then reading speed
_VALID = "ttft_p95<=2s, tpot_p95<=100ms and success>=99%, separated by commas"
_LATENCY = re.compile(r"(ttft|tpot)_p(\d{1,2}(?:\.\d+)?)<=(\d+(?:\.\d+)?)(ms|s)")
_SUCCESS = re.compile(r"success>=(\d+(?:\.\d+)?)%")
_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Slo:
    """Bounds and the share of requests (0-1) that keeps each; inf seconds = no bound."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf
    ttft_share: float = 0.95
    tpot_share: float = 0.95
    success_ratio: float = 0.0

    def __str__(self) -> str:
        """The text that `parse_slo` reads; a bound that was not given is left out."""
        terms = [
            f"{name}_p{share * _PERCENT:g}<={_duration(bound_s)}"
            for name, share, bound_s in (
                ("ttft", self.ttft_share, self.ttft_s),
                ("tpot", self.tpot_share, self.tpot_s),
            )
            if bound_s < math.inf
        ]
        if self.success_ratio:
            terms.append(f"success>={self.success_ratio * _PERCENT:g}%")
        return ",".join(terms)


def parse_slo(text: str) -> Slo:
    """The bounds in `text`; ValueError names the term at fault and what is valid."""
    found: dict[str, float] = {}
    for term in text.split(","):
        for name, value in _term(term).items():
            if name in found:
                raise ValueError(f"SLO {text!r}: {term.strip()!r} says {name} a second time")
            found[name] = value
    return Slo(**found)


def _term(term: str) -> dict[str, float]:
    """The fields of `Slo` that one term sets."""
    plain = "".join(term.split()).lower()
    if match := _LATENCY.fullmatch(plain):
        name, percentile, number, unit = match.groups()
        bound_s = float(number) / (1000 if unit == "ms" else 1)
        if float(percentile) > 0 and bound_s > 0:
            return {f"{name}_s": bound_s, f"{name}_share": float(percentile) / _PERCENT}
    elif match := _SUCCESS.fullmatch(plain):
        percent = float(match.group(1))
        if 0 < percent <= _PERCENT:
            return {"success_ratio": percent / _PERCENT}
    raise ValueError(f"SLO term {term.strip()!r} is not understood; valid: {_VALID}")


def _duration(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"
