"""The page's first sentence."""

from collections.abc import Sequence

from loadtests.lab.page.cells import ORACLE_B, FoundCell
from loadtests.lab.page.words import LabWords


def verdict(cells: Sequence[FoundCell], words: LabWords) -> tuple[str, bool]:
    """The sentence, and whether ours is nowhere significantly behind a baseline."""
    if not cells:
        return words("cells", count=0), False
    shares = [_fraction(cell) for cell in cells]
    found = [cell.ahead(name) for cell in cells for name in cell.baselines]
    pairs = [each for each in found if each is not None]
    behind = sum(each["high"] < 0 for each in pairs)
    said = words(
        "verdict",
        first=cells[0].first,
        low=f"{min(shares):.0%}",
        high=f"{max(shares):.0%}",
        cells=words("cells_one") if len(cells) == 1 else words("cells", count=len(cells)),
        behind=behind,
        ahead=sum(each["low"] > 0 for each in pairs),
        pairs=len(pairs),
    )
    return said, not behind


def _fraction(cell: FoundCell) -> float:
    most = cell.share(ORACLE_B) or 0.0
    return (cell.share(cell.first) or 0.0) / most if most else 1.0
