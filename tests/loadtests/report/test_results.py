"""The report of a run or a search: what it says, and that its files are whole."""

import csv
import re
import sys
from dataclasses import replace
from pathlib import Path
from string import Formatter
from xml.etree import ElementTree

import pytest

from loadtests.document.words import Language
from loadtests.record import Outcome, Record, RecordFile, RunRecord, Sample
from loadtests.report import __main__ as command
from loadtests.report import timeline
from loadtests.report.charts import CHARTS
from loadtests.report.files import write_report
from loadtests.report.findings import find, knee
from loadtests.report.page import report_page
from loadtests.report.stretch import Stretch, slices
from loadtests.report.verdict import verdict
from loadtests.report.words import ReportWords
from tests.html_tags import Tags
from tests.loadtests.made import CLIENT, LIMIT, overload, search

ENGLISH = ReportWords(Language.EN)


@pytest.fixture(scope="module")
def searched() -> RunRecord:
    return search()


@pytest.fixture(scope="module")
def played() -> RunRecord:
    return overload()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, searched: RunRecord) -> Path:
    return write_report(searched, tmp_path_factory.mktemp("report") / "new").parent


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


# -- the page ------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    tags = Tags(page).found
    assert {tag for tag, _ in tags}.isdisjoint({"link", "img", "iframe", "object"})
    assert all("src" not in attrs for _, attrs in tags)
    links = [value for _, attrs in tags for name, value in attrs.items() if name.endswith("href")]
    assert all((link or "").startswith("#") for link in links)
    assert "url(http" not in page


def test_the_verdict_stands_first_in_both_languages(page: str) -> None:
    english, chinese = page.index('<article lang="en">'), page.index('<article lang="zh">')
    assert 0 < page.index(f"Sustains {LIMIT} concurrent users of chat", english) - english < 300
    assert 0 < page.index(f"可持续承载 {LIMIT} 个 chat 并发用户", chinese) - chinese < 300


def test_the_page_has_five_numbers_four_charts_and_their_formulas(page: str) -> None:
    assert page.count('<dl class="tiles">') == 2
    assert page.count("<svg") == 8
    for told in (
        "queued, then answered",
        "Throughput over concurrency",
        "TTFT = first content, reasoning or tool token - intended start",
        "sluice_kv_projected_peak_tokens",
        "Kleinrock",
        "offered/s = requests that ended in the window",
        "sluice limit --host http://127.0.0.1:8000",
        "queue.max_requests",
        "拐点",
    ):
        assert told in page


def test_ids_are_unique_and_no_stand_in_colour_is_left(page: str) -> None:
    ids = [attrs["id"] for _, attrs in Tags(page).found if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert "#010203" not in page


def test_both_languages_have_the_same_words() -> None:
    english, chinese = ReportWords.tables[Language.EN], ReportWords.tables[Language.ZH]
    assert english.keys() == chinese.keys()
    for key, template in english.items():
        wanted, given = (
            {name for _, name, _, _ in Formatter().parse(text) if name}
            for text in (template, chinese[key])
        )
        assert wanted == given, key


def test_a_page_of_a_run_names_what_it_is_made_of(played: RunRecord) -> None:
    page = report_page(find(played))
    assert "The SLO is missed: TTFT p95 " in page
    assert "kv_capacity" in page
    assert "Each point is a slice of the run." in page
    assert "0 retries, 100% obey Retry-After, patience endless" in page
    assert "knee" not in page


def test_an_endpoint_without_metrics_has_a_report_without_them(played: RunRecord) -> None:
    page = report_page(find(replace(played, samples=())))
    assert "The endpoint has no metrics that are known here." in page
    assert "projected peak" not in page
    assert "TTFT, s" in page


def test_metrics_of_an_engine_alone_are_shown(played: RunRecord) -> None:
    bare = tuple(Sample(each.at_s, kv_used_ratio=0.5, running=3) for each in played.samples)
    page = report_page(find(replace(played, samples=bare)))
    assert "KV, % of capacity" in page
    assert "decisions/s</text>" not in page


def test_a_search_without_records_has_no_timeline(searched: RunRecord) -> None:
    found = find(replace(searched, records=(), samples=()))
    drawn = [chart.name for chart in CHARTS if chart.drawn(found)]
    assert drawn == ["throughput", "latency", "offered"]
    assert report_page(found).count("<svg") == 6


def test_a_run_of_nothing_has_a_page(played: RunRecord) -> None:
    found = find(replace(played, records=(), samples=()))
    assert "<svg" not in report_page(found)


# -- verdicts ------------------------------------------------------------------------------


def said(run: RunRecord) -> str:
    return verdict(find(run), ENGLISH)


def test_a_search_of_which_no_round_was_valid_has_a_page(searched: RunRecord) -> None:
    assert searched.limit
    rounds = [each | {"seen": "invalid"} for each in searched.limit["rounds"]]
    page = report_page(find(replace(searched, limit=searched.limit | {"rounds": rounds})))
    assert page.count("<svg") == 2 * (len(CHARTS) - 1)


def test_the_verdict_of_a_search_says_what_fails_first(searched: RunRecord) -> None:
    assert "At 34, TPOT p95 33.4 ms (promised <= 33 ms) fails first; decode binds." in said(
        searched
    )


def test_a_client_that_could_not_keep_up_is_the_verdict(played: RunRecord) -> None:
    late = replace(played, client=CLIENT | {"flaws": ["the client was late"]})
    assert said(late) == "Invalid, nothing here is to be believed: the client was late."
    assert not find(late).good


def test_without_an_slo_the_verdict_counts(played: RunRecord) -> None:
    free = replace(played, about=dict(played.about) | {"slo": None})
    assert re.fullmatch(r"[\d,]+ of [\d,]+ requests were answered; no SLO was given.", said(free))


def test_one_number_of_users_is_judged_as_asked(searched: RunRecord) -> None:
    asked = dict(searched.limit) | {"search": None, "asked_concurrency": 33, "exit_code": 1}
    asked["rounds"] = [each for each in asked["rounds"] if each["soak"]]
    asked |= {"sustained_concurrency": None, "fails_first": None}
    assert said(replace(searched, limit=asked)).startswith("At 33 concurrent users of chat the SLO")


@pytest.mark.parametrize(
    ("search", "begins"),
    [
        ({"users": 0, "at_most": False, "from_above": None}, "Does not sustain a single user"),
        (
            {"users": 99, "at_most": True, "from_above": None},
            "Sustains 99 concurrent users of chat or more",
        ),
    ],
)
def test_the_ends_of_a_search_are_told(
    searched: RunRecord, search: dict[str, object], begins: str
) -> None:
    limit = dict(searched.limit) | {"search": search}
    assert said(replace(searched, limit=limit)).startswith(begins)


# -- numbers -------------------------------------------------------------------------------


def stretch(users: float, answered_per_s: float) -> Stretch:
    return Stretch(users, 0, 1, 1, 0, {}, answered_per_s, answered_per_s, 0, 1, {})


def test_the_knee_is_where_power_is_greatest() -> None:
    """Throughput n / (8 + n) has its power n / (8 + n)² greatest at 8."""
    users = (2, 4, 8, 16, 32)
    assert knee([stretch(n, n / (8 + n)) for n in users]) == 8
    assert knee([stretch(n, n) for n in users]) is None  # still rising
    assert knee([]) is None


def test_slices_count_what_arrives_and_what_ends() -> None:
    records = [
        Record(f"r-{n}", "chat", Outcome.ANSWERED, float(n), 0.0, 2.0, ttft_s=0.1, output_tokens=5)
        for n in range(100)
    ]
    found = slices(records, find(RunRecord({"slo": None}, (), {})).slo)
    assert len(found) == 3
    middle = found[1]
    assert middle.offered_per_s == pytest.approx(1, rel=0.05)
    assert middle.answered_per_s == pytest.approx(1, rel=0.05)
    assert middle.tokens_per_s == pytest.approx(5, rel=0.05)
    assert middle.users == pytest.approx(2, rel=0.05)  # Little: one a second, two seconds each
    assert sum(each.offered for each in found) == 100


def test_no_peak_is_lost_and_counters_become_rates() -> None:
    samples = [
        Sample(n / 10, queued=9.0 if n == 777 else 1.0, decisions={"accepted": n})
        for n in range(10_000)
    ]
    shown = timeline.highest(samples, lambda each: each.queued, 1000.0)
    assert len(shown) <= timeline.BINS
    assert max(value for _, value in shown) == 9.0
    rates = timeline.per_second(samples, "accepted", 1000.0)
    assert [value for _, value in rates] == pytest.approx([10.0] * len(rates))


def test_long_runs_are_thinned(played: RunRecord) -> None:
    many = played.records * 10
    assert len(timeline.dots(many, "ttft_s")) <= 600
    until_s = timeline.end_s(many, ())
    assert len(timeline.percentiles(many, "ttft_s", 0.95, until_s)) <= timeline.BINS


# -- files ---------------------------------------------------------------------------------


def test_charts_and_tables_lie_beside_the_page(folder: Path) -> None:
    charts = ("latency", "offered", "throughput", "timeline")
    names = {f"{chart}.{kind}" for chart in charts for kind in ("png", "svg")}
    assert {file.name for file in folder.iterdir()} == names | {
        "report.html",
        "samples.csv",
        "stretches.csv",
    }
    for chart in charts:
        ElementTree.parse(folder / f"{chart}.svg")  # noqa: S314 - our own
        assert (folder / f"{chart}.png").read_bytes().startswith(b"\x89PNG")


def test_tables_have_a_row_each(folder: Path, searched: RunRecord) -> None:
    with (folder / "stretches.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["users"]) for row in rows][:3] == [4, 8, 16]
    assert float(rows[0]["ttft_s_p95"]) > 0
    with (folder / "samples.csv").open(encoding="utf-8", newline="") as file:
        looks = list(csv.DictReader(file))
    assert len(looks) == len(searched.samples)
    assert int(looks[-1]["accepted_total"]) > 0


def test_a_report_is_made_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    run = overload(seconds=20)
    file = RecordFile(path.open("w", encoding="utf-8"), run.about)
    for record in run.records:
        file.add(record)
    file.end(run.client)
    file.close()
    monkeypatch.setattr(sys, "argv", ["results", str(path), str(tmp_path / "report")])
    assert command.main() == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report" / "report.html")


def test_a_file_that_is_none_of_ours_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    monkeypatch.setattr(sys, "argv", ["results", str(path), str(tmp_path / "report")])
    assert command.main() == 2
    assert "not what sluice limit --json prints" in capsys.readouterr().err
