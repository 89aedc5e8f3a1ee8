"""A report as files in a folder: the page, its charts, its numbers."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtests.document.words import Language
from loadtests.record import RunRecord, Sample
from loadtests.report.charts import CHARTS
from loadtests.report.findings import RunFindings, find
from loadtests.report.page import report_page
from loadtests.report.stretch import Stretch
from loadtests.report.words import ReportWords

PAGE = "report.html"


def write_report(run: RunRecord, folder: Path) -> Path:
    """The page's path. Charts are in English as SVG and PNG; the folder is made where missing."""
    folder.mkdir(parents=True, exist_ok=True)
    found = find(run)
    (folder / PAGE).write_text(report_page(found), encoding="utf-8")
    _write_charts(found, folder)
    _write_rows(folder / "stretches.csv", map(_stretch, found.stretches))
    _write_rows(folder / "samples.csv", map(_sample, run.samples))
    return folder / PAGE


def _write_charts(found: RunFindings, folder: Path) -> None:
    words = ReportWords(Language.EN)
    for chart in CHARTS:
        if chart.drawn(found):
            title = words(f"title_{chart.name}")
            svg = chart.draw(found, words).in_file(chart.name, title)
            (folder / f"{chart.name}.svg").write_text(svg, encoding="utf-8")
            (folder / f"{chart.name}.png").write_bytes(chart.draw(found, words).as_png(title))


def _stretch(each: Stretch) -> Mapping[str, Any]:
    row = asdict(each)
    outcomes, percentiles = row.pop("outcomes"), row.pop("percentiles")
    flat = {f"{name}_{p}": value for name, of in percentiles.items() for p, value in of.items()}
    shown: dict[str, Any] = row | {"goodput_per_s": each.goodput_per_s} | outcomes | flat
    return shown


def _sample(each: Sample) -> Mapping[str, Any]:
    row: dict[str, Any] = asdict(each)
    return row | {f"{name}_total": count for name, count in row.pop("decisions").items()}


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A column for every name that any row has; nothing is written of no rows."""
    known = list(rows)
    columns: Sequence[str] = list(dict.fromkeys(name for row in known for name in row))
    if not columns:
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(known)
