"""A comparison as text for the terminal: a line per policy."""

from loadtests.document.document import Document, Paragraphs, Section, Table
from loadtests.document.terminal import as_text
from loadtests.lab.comparing.comparison import PolicyComparison
from loadtests.lab.summary import PolicyRow

_HEAD = (
    "policy",
    "n",
    "in SLO /s",
    "of off. %",
    "of acc. %",
    "refused",
    "preempt.",
    "KV %",
    "oracle %",
)


def table(comparison: PolicyComparison) -> str:
    """A line about what was played, then the table of policies."""
    cell, cut = comparison.cell, comparison.cell.cut
    rows = [*comparison.rows, comparison.oracle]
    kv = "planned KV cache" if cell.kv_tokens is None else f"KV {cell.kv_tokens:,} tokens"
    first = rows[0]
    lead = [
        f"{cell.trace.name}, {cut.rate_scale:g} x its rate = {first.offered_per_s:.2f}/s, {kv}",
        f"{first.offered} requests counted after {cut.warm_up}, {comparison.left_out} left out as "
        f"too long; TTFT {cell.bounds.ttft_s:g} s, TPOT {cell.bounds.tpot_s:g} s",
    ]
    lines = [_line(row, comparison.fraction(row)) for row in rows]
    most = [] if comparison.most is None else [f"no schedule exceeds {comparison.most:.2f} /s"]
    shown = Table(_HEAD, "l" + "r" * (len(_HEAD) - 1), lines)
    return as_text(Document(lead, [Section("", [shown, Paragraphs(most)])])) + "\n"


def _line(row: PolicyRow, fraction: float | None) -> list[str]:
    return [
        row.policy,
        "" if row.n is None else str(row.n),
        f"{row.goodput_per_s:.2f}",
        _percent(row.share_of_offered),
        _percent(row.share_of_accepted_in_slo),
        str(row.refused),
        str(row.preemptions),
        _percent(row.kv_used_mean),
        _percent(fraction),
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
