"""Metrics of several replicas as one page: every sample gets a label `replica`."""

import re
from collections.abc import Iterator, Mapping

from serve.http.routes.exchange import OwnResponse

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{)?")
_COMMENT = re.compile(r"^# (?:HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*)")
_END = "# EOF"  # of OpenMetrics


def merged(pages: Mapping[str, OwnResponse]) -> OwnResponse:
    """One page of the replicas' pages, all in the format that the scraper asked for."""
    comments: dict[str, list[str]] = {}  # by family, as the first page with it has them
    samples: dict[str, list[str]] = {}
    for replica, page in pages.items():
        for family, told, found in _families(page.body.decode()):
            comments.setdefault(family, told)
            samples.setdefault(family, []).extend(_labelled(line, replica) for line in found)
    lines = [line for family in comments for line in (*comments[family], *samples[family])]
    kind = next(iter(pages.values())).content_type
    end = [_END] if "openmetrics" in kind else []
    return OwnResponse(("\n".join([*lines, *end]) + "\n").encode(), content_type=kind)


def _families(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Name, comments and samples of each family of one page."""
    name = ""
    comments: list[str] = []
    samples: list[str] = []
    for line in text.splitlines():
        comment = _COMMENT.match(line)
        if comment and comment[1] != name:
            if name:
                yield name, comments, samples
            name, comments, samples = comment[1], [], []
        if comment:
            comments.append(line)
        elif line and not line.startswith("#"):
            samples.append(line)
    if name:
        yield name, comments, samples


def _labelled(line: str, replica: str) -> str:
    label = f'replica="{replica}"'
    sample = _SAMPLE.match(line)
    if sample is None:
        return line
    name, rest = sample[1], line[sample.end() :]
    if sample[2] is None:
        return f"{name}{{{label}}}{rest}"
    return f"{name}{{{label}{'' if rest.startswith('}') else ','}{rest}"
