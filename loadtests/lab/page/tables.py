"""The tables of the lab's page and of its Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from loadtests.document.document import Table
from loadtests.lab.page.cells import ORACLE_B, FoundCell, policies_of
from loadtests.lab.page.charts import gap
from loadtests.lab.page.words import LabWords


def shares(cells: Sequence[FoundCell], words: LabWords) -> Table:
    """Per cent of all offered, served in time: a line per policy, a column per cell."""
    names = [*policies_of(cells), ORACLE_B]
    rows = [
        [name, *(_setting(cell, name) + _number(cell.share(name)) for cell in cells)]
        for name in names
    ]
    rows.append([words("bound"), *(_number(cell.bound) for cell in cells)])
    return _by_cell(cells, rows)


def _setting(cell: FoundCell, name: str) -> str:
    """The best N of a policy that was tuned."""
    row = cell.rows.get(name)
    if row is None or row["n"] is None or name == "static_one":
        return ""
    return f"({row['n']:,}) "


def _by_cell(cells: Sequence[FoundCell], rows: Sequence[Sequence[str]]) -> Table:
    """The table, with cells as lines if there are many."""
    lines = [["", *(cell.name for cell in cells)], *rows]
    turned = [list(column) for column in zip(*lines, strict=True)]
    return Table(turned[0], "l" + "r" * (len(turned[0]) - 1), turned[1:])


def ours(cells: Sequence[FoundCell], words: LabWords) -> Table:
    """The first policy compared with the best that was possible."""
    keys = ("of_oracle", "of_bound", "of_accepted", "refused", "preemptions", "kv_used")
    rows = [[cell.name, *_ours(cell)] for cell in cells]
    return Table([words("cell"), *map(words, keys)], "lrrrrrr", rows)


def _ours(cell: FoundCell) -> list[str]:
    row, share = cell.rows[cell.first], cell.share(cell.first) or 0.0
    most, bound = cell.share(ORACLE_B), cell.bound
    accepted = row["share_of_accepted_in_slo"]
    return [
        _percent(share / most if most else None),
        _percent(share / bound if bound else None),
        _percent(accepted),
        f"{row['refused']:,}",
        f"{row['preemptions']:,}",
        _percent(row["kv_used_mean"]),
    ]


def against(cells: Sequence[FoundCell], names: Sequence[str], words: LabWords) -> Table:
    """Points by which the first policy is ahead of each baseline, with the interval."""
    rows, marked = [], {}
    for place, cell in enumerate(cells):
        found = [cell.ahead(name) for name in names]
        rows.append([cell.name, *map(_difference, found)])
        if any(each is not None and each["high"] < 0 for each in found):
            marked[place] = ""
    head = [words("cell"), *names]
    return Table(head, "l" + "r" * len(names), rows, marked)


def _difference(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "-"
    return f"{found['share']:+.1f} [{found['low']:.1f}, {found['high']:.1f}]"


def gaps(cells: Sequence[FoundCell], words: LabWords) -> Table:
    """Losses by cause, in percentage points."""
    rows = []
    for cell in cells:
        split = gap(cell)
        numbers = [split.lengths, split.order, split.beyond]
        told = ["-" if each is None else f"{each:+.1f}" for each in numbers]
        rows.append([cell.name, f"{split.ours:.1f}", *told])
    head = [cells[0].first, words("gap_lengths"), words("gap_order"), words("gap_bound")]
    return Table([words("cell"), *head], "lrrrr", rows)


def ablations(cells: Sequence[FoundCell], words: LabWords) -> Table:
    """Shares and preemptions of our policy, whole and without one part."""
    shown = [cell for cell in cells if cell.ablations]
    names = list(dict.fromkeys(name for cell in shown for name in cell.ablations))
    rows = [[cell.name, *(_served(cell, name) for name in (cell.first, *names))] for cell in shown]
    return Table([words("cell"), words("whole"), *names], "l" + "r" * (len(names) + 1), rows)


def _served(cell: FoundCell, name: str) -> str:
    row = cell.rows.get(name)
    return "-" if row is None else f"{_number(cell.share(name))} ({row['preemptions']:,})"


def asked(cells: Sequence[FoundCell], words: LabWords) -> Table:
    """The parameters of the cells."""
    keys = ("cell", "trace", "rate", "scale", "kv", "bounds", "offered", "left_out")
    return Table([words(key) for key in keys], "llrrrrrr", [_asked(cell, words) for cell in cells])


def _asked(cell: FoundCell, words: LabWords) -> list[str]:
    told, row = cell.told, cell.rows[cell.first]
    kv_tokens = told["kv_tokens"]
    return [
        cell.name,
        PurePath(told["trace"]).name,
        f"{row['offered_per_s']:.3g}",
        f"{told['rate_scale']:.3g}",
        words("kv_planned") if kv_tokens is None else f"{kv_tokens:,}",
        f"{told['ttft_s']:g} s, {told['tpot_s']:g} s",
        f"{row['offered']:,}",
        f"{told['left_out']:,}",
    ]


def _number(share: float | None) -> str:
    return "-" if share is None else f"{share:.1f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
