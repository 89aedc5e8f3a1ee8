"""What the checks of the documents read in a Markdown file: its headings, code and links."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^ *(```|~~~)")
_HEADING = re.compile(r"^(#{1,6}) +(.*?) *$")
_LINK = re.compile(r"\]\(([^)\s]+)(?: +\"[^\"]*\")?\)|^ *\[[^\]]+\]: +(\S+)")
_CODE = re.compile(r"(`+)(?:(?!`).)+?\1")
_OF_LINKS = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True)
class Page:
    path: Path  # from the root of the repository

    @cached_property
    def lines(self) -> list[str]:
        return (ROOT / self.path).read_text(encoding="utf-8").splitlines()

    @cached_property
    def _parts(self) -> tuple[list[tuple[int, str]], list[str]]:
        """Numbered lines of prose, and the fenced blocks of code."""
        prose: list[tuple[int, str]] = []
        blocks: list[str] = []
        inside: list[str] | None = None
        for number, line in enumerate(self.lines, start=1):
            if _FENCE.match(line):
                if inside is None:
                    inside = []
                else:
                    blocks.append("\n".join(inside))
                    inside = None
            elif inside is None:
                prose.append((number, line))
            else:
                inside.append(line)
        return prose, blocks

    @property
    def prose(self) -> list[tuple[int, str]]:
        return self._parts[0]

    @property
    def code_blocks(self) -> list[str]:
        return self._parts[1]

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        found = (_HEADING.match(line) for _, line in self.prose)
        return [(len(each[1]), each[2]) for each in found if each]

    @cached_property
    def anchors(self) -> set[str]:
        """Anchors of the headings, by GitHub's rule."""
        names: set[str] = set()
        for _, heading in self.headings:
            name = slug(heading)
            count = 0
            while name in names:
                count += 1
                name = f"{slug(heading)}-{count}"
            names.add(name)
        return names

    def links(self) -> Iterator[tuple[int, str]]:
        """Line number and target of each link that leads to a file or an anchor, not to the web."""
        for number, line in self.prose:
            for found in _LINK.finditer(_CODE.sub("", line)):
                target = found[1] or found[2]
                if not is_web(target):
                    yield number, target


def is_web(target: str) -> bool:
    """Whether a link leaves the repository."""
    return re.match(r"[a-z]+:", target) is not None


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The Markdown with `change` made of every line that is not in a fenced block."""
    fenced, lines = False, []
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line) is not None
        fenced ^= fence
        lines.append(line if fenced or fence else change(line))
    return "".join(lines)


def slug(heading: str) -> str:
    plain = _OF_LINKS.sub(r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def pages() -> list[Page]:
    """Every Markdown file of the repository that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return [Page(Path(name)) for name in listed if (ROOT / name).exists()]
