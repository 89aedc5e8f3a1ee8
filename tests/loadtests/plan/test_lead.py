"""The first sentences of a plan: the best layout, one number for each, people."""

import json
import re
from typing import Any

import pytest

from admission.planning.memory.estimate import Estimate
from admission.planning.people import people
from admission.planning.plan import PlannedLoad
from admission.planning.workload import PRESETS
from loadtests.document.columns import COLUMNS, width
from loadtests.document.words import Language
from loadtests.plan.workloads import named_workload
from loadtests.scenarios import SCENARIOS
from serve.commands.cli import command_parser, main

QWEN = ("--model", "Qwen/Qwen3-32B", "--gpu", "a10", "--gpus", "8")
AWQ = (*QWEN, "--quantization", "awq")


def said(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """What stands on standard output, on one line."""
    assert main(["plan", *flags]) == 0
    return " ".join(capsys.readouterr().out.split())


def told(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    assert main(["plan", *flags, "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_the_best_of_all_formats_comes_first_with_its_condition(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, *QWEN)
    assert text.startswith(
        "8 x A10 can carry 176 requests of chat at once (144 to 208; 3.53/s), about 282 users, as"
        " 4 x TP 2 in INT4 if you may use 4 bits; 58 (1.05/s), about 90 users, as 2 x TP 4 in FP16."
    )


def test_a_format_that_was_asked_for_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, *QWEN, "--quantization", "none")
    assert text.startswith("8 x A10 can carry 58 requests of chat at once")
    assert "; 176 (3.53/s), about 282 users, as 4 x TP 2 in INT4 if you may" in text


def test_a_split_that_was_asked_for_has_its_own_number_in_the_first_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, *AWQ, "--tensor-parallel-size", "8")
    assert text.startswith("8 x A10 can carry 176 requests of chat")
    assert "users, as asked: TP 8 in INT4. Within" in text
    assert "As asked, decode binds" in text


def test_one_thing_has_one_number_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    answer = told(capsys, *AWQ)
    (best,) = [layout for layout in answer["layouts"] if layout["best"]]
    for load in (best, answer, answer["recommended"]):
        assert load["sustained_concurrency"] == {"low": 144, "expected": 176, "high": 208}
        assert load["sustained_rate_per_s"] == answer["sustained_rate_per_s"]
        assert load["people"] == answer["people"]
    assert answer["rule_of_thumb"][-1]["model"] == 176
    assert answer["shown"] is None
    assert main(["plan", *AWQ, "-v"]) == 0
    text = capsys.readouterr().out
    assert len(re.findall(r"\b176\b", text)) >= 6
    assert not re.search(r"\b17[0-57-9]\b", text.partition("THE SAME GPUS")[0])


def test_the_json_is_of_the_format_asked_for_and_shows_the_one_led_with_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = told(capsys, *QWEN)
    assert (answer["engine"]["weights"], answer["engine"]["tensor_parallel_size"]) == ("FP16", 4)
    assert answer["sustained_concurrency"]["expected"] == 58
    shown = answer["shown"]
    assert (shown["engine"]["weights"], shown["engine"]["tensor_parallel_size"]) == ("INT4", 2)
    assert shown["sustained_concurrency"]["expected"] == 176
    assert shown["people"] == answer["recommended"]["people"]
    assert " ".join(answer["answer"]).startswith("8 x A10 can carry 176")


def test_users_follow_from_the_think_time(capsys: pytest.CaptureFixture[str]) -> None:
    for think_s in (0, 30, 120):
        answer = told(capsys, *AWQ, "--think", str(think_s))
        served, rate = answer["people"], answer["sustained_rate_per_s"]
        users = rate * (served["residence_s"] + think_s)
        assert served["users"] == pytest.approx(users, abs=0.6)
        assert served["think_s"] == think_s
    assert told(capsys, *AWQ, "--think", "0")["people"]["users"] == 176


def test_nobody_is_served_where_nothing_is_sustained_or_the_speed_is_unknown() -> None:
    def load(expected: float, rate: float | None) -> PlannedLoad:
        return PlannedLoad({}, Estimate.exactly(expected), Estimate.exactly(expected), rate)

    assert people(load(0, 0.0), 30) is None
    assert people(load(10, None), 30) is None
    served = people(load(10, 0.5), 30)
    assert served is not None
    assert (served.users, served.residence_s) == (25, 20)


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
def test_a_think_time_that_is_none_ends_with_2(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *AWQ, f"--think={seconds}"]) == 2
    assert "--think" in capsys.readouterr().err


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("more", [(), ("--quantization", "awq"), ("--tensor-parallel-size", "8")])
@pytest.mark.parametrize("workload", ["chat", "long-context", "reasoning", "smoke-write"])
def test_the_answer_has_eight_lines_of_eighty_columns(
    language: Language,
    more: tuple[str, ...],
    workload: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", *QWEN, *more, "--workload", workload, "--lang", language]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 8
    assert max(map(width, lines)) <= COLUMNS


def test_a_promise_that_no_layout_keeps_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, *AWQ, "--workload", "long-context", "--slo", "ttft_p95<=1s")
    assert "can keep this SLO for no request of long-context" in text
    assert "prefill binds" in text


def test_what_does_not_fit_says_so_once_and_what_another_format_carries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", *QWEN[:-1], "2"]) == 1
    caught = capsys.readouterr()
    assert "Does not fit: weights" in caught.err
    assert "Does not fit" not in caught.out
    assert caught.out.startswith("2 x A10 can carry 44 requests")
    assert "if you may use 4 bits" in " ".join(caught.out.split())


def test_what_fits_in_no_way_has_no_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *QWEN[:-1], "1"]) == 1
    assert capsys.readouterr().out == ""
    assert main(["plan", *QWEN[:-1], "1", "-v"]) == 1
    assert "FOUR LIMITS" not in capsys.readouterr().out


def test_a_card_of_unknown_speed_counts_by_memory_alone(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--model", "Qwen/Qwen3-32B", "--gpu", "mi300x", "--gpus", "2")
    assert "By memory alone, as the speed of this card is not known" in text
    assert "users" not in text


# -- one list, one promise -----------------------------------------------------------------


def test_plan_and_limit_know_the_same_workloads_by_either_flag_and_promise_the_same() -> None:
    plan = command_parser().parse_args(["plan", "--scenario", "reasoning"])
    limit = command_parser().parse_args(["limit", "--host", "http://h", "--workload", "reasoning"])
    assert (plan.workload, limit.scenario) == ("reasoning", "reasoning")
    assert plan.slo == limit.slo
    for name in SCENARIOS:
        assert named_workload(name, max_model_len=32_768).name == name


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_means_of_the_scenario_of_that_name(name: str) -> None:
    preset, scenario = PRESETS[name], SCENARIOS[name]
    means = (scenario.prompt.mean_tokens, scenario.answer.mean_tokens)  # type: ignore[attr-defined]
    assert (preset.isl_tokens, preset.osl_tokens) == means


def test_an_unknown_workload_names_the_nearest_of_them_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", *AWQ, "--workload", "reasonin"]) == 2
    assert "nearest known: reasoning" in capsys.readouterr().err
