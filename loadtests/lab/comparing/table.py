"""A comparison for a terminal of 80 columns."""

from loadtests.lab.comparing.comparison import PolicyComparison
from loadtests.lab.summary import PolicyRow

_HEAD = (
    "policy             n  in SLO  of off.  of acc.  refused preempt.   KV oracle\n"
    "                         /s        %        %                      %      %\n"
)


def table(comparison: PolicyComparison) -> str:
    """What was played, then a line per policy."""
    cell, cut = comparison.cell, comparison.cell.cut
    rows = [*comparison.rows, comparison.oracle]
    kv = "planned KV cache" if cell.kv_tokens is None else f"KV {cell.kv_tokens:,} tokens"
    first = rows[0]
    head = (
        f"{cell.trace.name}, {cut.rate_scale:g} x its rate = {first.offered_per_s:.2f}/s, {kv}\n"
        f"{first.offered} requests counted after {cut.warm_up}, {comparison.left_out} left out as "
        f"too long; TTFT {cell.bounds.ttft_s:g} s, TPOT {cell.bounds.tpot_s:g} s\n\n"
    )
    most = "" if comparison.most is None else f"no schedule exceeds {comparison.most:.2f} /s\n"
    return head + _HEAD + "".join(_line(row, comparison.fraction(row)) for row in rows) + most


def _line(row: PolicyRow, fraction: float | None) -> str:
    setting = "" if row.n is None else str(row.n)
    return (
        f"{row.policy:<15}{setting:>5}{row.goodput_per_s:>8.2f}{_percent(row.share_of_offered):>9}"
        f"{_percent(row.share_of_accepted_in_slo):>9}{row.refused:>9}{row.preemptions:>9}"
        f"{_percent(row.kv_used_mean):>6}{_percent(fraction):>7}\n"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
