"""Pages of docs/ with tables made from the code, between `<!-- NAME: begin -->` and `end` marks."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from serve.exits import Exit

Tables = Mapping[str, Callable[[], Iterator[str]]]


def current(text: str, tables: Tables) -> str:
    """`text` with the lines between each pair of marks replaced by those of its table."""
    for name, table in tables.items():
        body = "\n".join(table()).strip()
        before, begin, _, end, after = re.split(
            rf"(<!-- {name}: begin.*?-->\n)(.*?)(<!-- {name}: end -->)", text, flags=re.DOTALL
        )
        text = f"{before}{begin}\n{body}\n\n{end}{after}"
    return text


def rewrite(arguments: Sequence[str], tables: Tables, *, usage: str) -> int:
    """Rewrites the tables of one file in place; the exit status."""
    if len(arguments) != 1:
        sys.stderr.write(f"usage: {usage}\n")
        return Exit.BAD_INPUT
    path = Path(arguments[0])
    path.write_text(current(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
    return Exit.GOOD
