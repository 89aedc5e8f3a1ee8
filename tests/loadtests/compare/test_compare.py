"""`sluice compare`: same load, do the arms separate, what changed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.compare.arm import Arm, arm
from loadtests.compare.comparison import Comparison, compare
from loadtests.compare.load import Alike, compare_load
from loadtests.compare.separate import separate
from loadtests.record import RecordFile, RunRecord
from serve.commands import cli
from serve.commands.cli import main
from tests.loadtests.made import CLIENT, ENDPOINT, overload, search

STEADY = {"seconds": 120.0, "per_s": 4.0}


def arms(*runs: RunRecord) -> list[Arm]:
    return [arm(place, f"{place}.jsonl", run) for place, run in enumerate(runs)]


def held_against(first: RunRecord, second: RunRecord) -> Comparison:
    return compare(*arms(first, second))


def about(run: RunRecord, **changed: object) -> RunRecord:
    return replace(run, about=dict(run.about) | changed)


def saved(path: Path, run: RunRecord) -> Path:
    file = RecordFile(path.open("w", encoding="utf-8"), run.about)
    for record in run.records:
        file.add(record)
    if run.limit:
        file.limit(run.limit)
    file.end(run.client)
    file.close()
    return path


@pytest.fixture(scope="module")
def usual() -> RunRecord:
    return overload(**STEADY)


@pytest.fixture(scope="module")
def slower() -> RunRecord:
    """The same requests at the same instants, on an engine that is a half slower."""
    return overload(**STEADY, slower=1.5)


# -- same load? ----------------------------------------------------------------------------


def test_turns_of_a_conversation_are_requests_of_their_own(usual: RunRecord) -> None:
    names = ["run-9", "run-9t2", "run-9t10", "run-10"]
    records = [replace(each, id=name) for each, name in zip(usual.records, names, strict=False)]
    (found,) = arms(replace(usual, records=tuple(records[::-1])))
    assert [each.id for each in found.records.values()] == names


def test_other_prompts_are_another_load(usual: RunRecord) -> None:
    one, other = about(usual, prompts="a1"), about(usual, prompts="b2")
    assert compare_load(*arms(one, one)).same
    assert compare_load(*arms(one, other)).facts == [("prompts", "a1", "b2")]


def test_the_same_requests_at_the_same_instants_are_pairs(
    usual: RunRecord, slower: RunRecord
) -> None:
    load = compare_load(*arms(usual, slower))
    assert (load.requests, load.arrivals) == (Alike.SAME, Alike.SAME)
    assert load.same
    assert load.paired


def test_another_seed_asks_from_the_same_distribution(usual: RunRecord) -> None:
    load = compare_load(*arms(usual, overload(seed=2, **STEADY)))
    assert load.requests is Alike.ONE_DISTRIBUTION
    assert load.same
    assert not load.paired


def test_longer_prompts_are_another_load(usual: RunRecord) -> None:
    longer = [replace(r, asked_prompt_tokens=2 * r.asked_prompt_tokens) for r in usual.records]
    load = compare_load(*arms(usual, replace(usual, records=tuple(longer))))
    assert load.requests is Alike.DIFFERENT
    assert not load.same


def test_other_instants_are_another_load(usual: RunRecord) -> None:
    double = compare_load(*arms(usual, overload(seed=2, per_s=8.0, seconds=120.0)))
    assert double.arrivals is Alike.DIFFERENT
    later = [replace(r, intended_at_s=r.intended_at_s**2 / 120) for r in usual.records]
    bent = compare_load(*arms(usual, replace(usual, records=tuple(later))))
    assert bent.arrivals is Alike.DIFFERENT


def test_arrivals_of_a_closed_loop_are_no_part_of_the_load(usual: RunRecord) -> None:
    closed = about(usual, load="closed loop, 8 users")
    fewer = replace(closed, records=closed.records[: len(closed.records) // 2])
    load = compare_load(*arms(closed, fewer))
    assert load.arrivals is Alike.UNKNOWN
    assert load.paired
    assert len(load.common) == len(fewer.records)


@pytest.mark.parametrize("changed", [{"scenario": "rag"}, {"slo": "ttft_p95<=9s"}, {"retries": 2}])
def test_what_was_asked_differently_is_named(usual: RunRecord, changed: dict[str, Any]) -> None:
    load = compare_load(*arms(usual, about(usual, **changed)))
    assert [what for what, _, _ in load.facts] == list(changed)
    assert not load.same


# -- do they separate? ---------------------------------------------------------------------


def test_a_slower_engine_is_worse_in_what_it_is_worse_in(
    usual: RunRecord, slower: RunRecord
) -> None:
    found = held_against(usual, slower)
    assert "goodput" in found.better_in(-1)
    assert found.better_in(1) == []
    assert found.sentence.startswith("A is better in goodput")
    for each in found.separation.differences:
        assert each.low is not None
        assert each.high is not None
        assert each.first is not None
        assert each.second is not None
        assert each.low <= each.second - each.first <= each.high


def test_an_arm_and_itself_cannot_be_told_apart(usual: RunRecord) -> None:
    found = held_against(usual, usual)
    assert found.sentence == "A and B cannot be told apart"
    assert all(each.low == each.high == 0 for each in found.separation.differences)


def test_without_pairs_intervals_are_wider(usual: RunRecord) -> None:
    first, second = arms(usual, overload(**STEADY, slower=1.05))
    load = compare_load(first, second)
    paired, apart = (
        next(d for d in separate(first, second, each).differences if d.metric == "ttft p50")
        for each in (load, replace(load, requests=Alike.ONE_DISTRIBUTION))
    )
    assert paired.low is not None and paired.high is not None  # noqa: PT018 - both or none
    assert apart.low is not None and apart.high is not None  # noqa: PT018 - both or none
    assert paired.high - paired.low < apart.high - apart.low


def test_where_nobody_was_answered_nothing_is_told_of_latency(usual: RunRecord) -> None:
    none = tuple(replace(r, ttft_s=None, tpot_s=None) for r in usual.records)
    found = held_against(usual, replace(usual, records=none))
    ttft = next(d for d in found.separation.differences if d.metric == "ttft p95")
    assert (ttft.second, ttft.low, ttft.better) == (None, None, 0)


def test_limits_separate_where_their_intervals_lie_apart() -> None:
    low = search()
    high = replace(
        low, limit=dict(low.limit) | {"sustained_concurrency": 60, "interval_95": [58, 62]}
    )
    low = replace(low, limit=dict(low.limit) | {"interval_95": [31, 36]})
    found = held_against(low, high)
    assert found.sentence == "B is better in limit"
    (limit,) = found.separation.differences
    assert (limit.first, limit.second, limit.low, limit.high) == (33, 60, 22, 31)
    assert held_against(low, low).sentence == "A and B cannot be told apart"


# -- what changed? -------------------------------------------------------------------------


def test_what_changed_in_the_configuration_is_named(usual: RunRecord) -> None:
    settings = {"policy": "static", "queue": {"max_requests": 64}, "static": {"limit": 48}}
    endpoint = ENDPOINT | {"settings": settings, "mode": "shadow", "config": "another"}
    found = held_against(usual, about(usual, endpoint=endpoint))
    assert found.changes == [
        ("mode", "enforce", "shadow"),
        ("settings.policy", "footprint", "static"),
        ("settings.quantile", "0.9", None),
        ("settings.static.limit", None, "48"),
    ]


# -- the command ---------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, usual: RunRecord, slower: RunRecord) -> list[str]:
    runs = {"a": usual, "b": slower, "c": about(usual, scenario="rag")}
    return [str(saved(tmp_path / f"{name}.jsonl", run)) for name, run in runs.items()]


def test_two_runs_are_told_in_80_columns(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *files[:2]]) == 0
    told = capsys.readouterr().out
    assert told.startswith("A is better in goodput")
    assert "SAME LOAD? A and B: yes" in told
    assert "CONFIGURATION? Nothing, as far as the endpoints tell." in told
    assert max(map(len, told.splitlines())) <= 80


def test_all_are_held_against_the_first_and_another_load_is_exit_code_1(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *files, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [each["arms"] for each in told["comparisons"]] == [["A", "B"], ["A", "C"]]
    second = told["comparisons"][1]
    assert not second["same_load"]["same"]
    assert second["same_load"]["asked_differently"] == [
        {"what": "scenario", "first": "chat", "second": "rag"}
    ]
    goodput = told["comparisons"][0]["differences"][0]
    assert (goodput["metric"], goodput["better"]) == ("goodput", "A")


def test_an_invalid_run_is_exit_code_1(
    tmp_path: Path, files: list[str], usual: RunRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    late = replace(usual, client=CLIENT | {"flaws": ["the client was late"]})
    assert main(["compare", files[0], str(saved(tmp_path / "late.jsonl", late))]) == 1
    assert capsys.readouterr().out.startswith("B is invalid; ")


def test_limits_are_compared_by_their_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "limit.json"
    path.write_text(json.dumps(search().limit))
    records = saved(tmp_path / "limit.jsonl", search(seed=2))
    assert main(["compare", str(path), str(records)]) == 0
    assert "intervals have no number in common" in capsys.readouterr().out


def broken(folder: Path, files: list[str]) -> list[list[str]]:
    path = folder / "broken.jsonl"
    path.write_text("{")
    empty = folder / "empty.jsonl"
    empty.write_text("")
    limit = saved(folder / "limit.jsonl", search())
    return [
        files[:1],
        [files[0], "/nowhere.jsonl"],
        [files[0], str(path)],
        [files[0], str(empty)],
        [files[0], str(limit)],
    ]


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        (0, "give two to 26"),
        (1, "/nowhere.jsonl"),
        (2, "not JSON"),
        (3, "no line of type run"),
        (4, "two of a kind"),
    ],
)
def test_bad_files_are_exit_code_2(
    place: int,
    problem: str,
    tmp_path: Path,
    files: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compare", *broken(tmp_path, files)[place]]) == 2
    assert problem in capsys.readouterr().err


def without(name: str) -> Callable[[str], Any]:
    def importing(_: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    return importing


def test_without_the_load_tests_packages_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.importlib, "import_module", without("gevent"))
    assert main(["limit", "--host", "http://127.0.0.1:9"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "pip install 'sluice[loadtests]'" in told
    monkeypatch.setattr(cli.importlib, "import_module", without("ours"))
    assert main(["limit", "--host", "http://127.0.0.1:9"]) == 70
    assert "ModuleNotFoundError: No module named 'ours'" in capsys.readouterr().err
