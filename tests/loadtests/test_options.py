"""The options of a load test: what is given is checked, what is not has a meaning."""

import argparse
import random
from pathlib import Path

import pytest

from loadtests.asking.prompts import Ending, Route
from loadtests.options import Options, add_options, read_options
from loadtests.scenarios import CHAT


def options(*given: str) -> Options:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return read_options(parser.parse_args(given))


def test_without_options_judges_chat_in_a_closed_loop() -> None:
    found = options()
    assert (found.scenario, found.closed, found.slo) == (CHAT, True, None)
    assert (found.behaviour.retries, found.ending, found.route) == (0, None, Route.CHAT)
    assert found.load() == "closed loop"
    assert (found.records, found.report) == (None, None)


def test_a_shape_makes_arrivals_of_its_rate() -> None:
    found = options("--shape", "overload-2x", "--rate", "3", "--duration", "100")
    assert not found.closed
    assert len(list(found.arrivals(random.Random(1), None))) == pytest.approx(600, rel=0.15)
    assert found.load() == "overload-2x for 100 s, 1x = 3/s, cv 1"


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp_s,prompt_tokens,output_tokens\n5,10,3\n7,20,4\n")
    found = options("--shape", "trace", "--trace", str(path), "--trace-speed", "2")
    first, second = found.arrivals(random.Random(1), None)
    assert (first.at_s, second.at_s, second.ask.output_tokens) == (0.0, 1.0, 4)
    assert found.load().endswith("trace.csv, 2x speed, 1x requests")


def test_what_the_context_does_not_hold_is_left_out_of_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp_s,prompt_tokens,output_tokens\n5,10,3\n7,2000,4\n8,500,400\n")
    found = options("--shape", "trace", "--trace", str(path))
    sizes = [each.ask.prompt_tokens for each in found.arrivals(random.Random(1), 1000)]
    assert sizes == [10, 500]


def test_without_tenants_everybody_has_the_key_of_the_run() -> None:
    assert [each.key for each in options("--api-key", "k").crowd] == ["k"]
    assert [each.key for each in options().crowd] == [None]


def test_a_greedy_tenant_needs_nine_others(tmp_path: Path) -> None:
    path = tmp_path / "tenants"
    path.write_text("".join(f"t{n} k{n}\n" for n in range(10)))
    crowd = options("--shape", "greedy", "--tenants", str(path)).crowd
    assert [each.weight for each in crowd] == [11.0] + [1.0] * 9
    with pytest.raises(ValueError, match="--shape greedy needs --tenants FILE with 10 keys"):
        options("--shape", "greedy")


def test_users_that_behave() -> None:
    given = ("--retries", "2", "--obey", "0.5", "--patience", "20", "--hang-up", "0.1")
    found = options(*given).behaviour
    assert (found.retries, found.obeys_retry_after) == (2, 0.5)
    assert (found.patience_s, found.hangs_up) == (20.0, 0.1)


def test_route_and_ending_can_be_chosen() -> None:
    found = options("--route", "completions", "--ending", "exact")
    assert (found.route, found.ending) == (Route.COMPLETIONS, Ending.EXACT)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("--slo", "fast"), "SLO term 'fast' is not understood"),
        (("--shape", "trace"), "--shape trace needs --trace FILE"),
        (("--rate", "0"), "--rate 0.0 is no positive number"),
        (("--hang-up", "2"), "shares are from 0 to 1"),
        (("--shape", "trace", "--trace", "/nowhere.csv"), "/nowhere.csv: No such file"),
        (("--tenants", "/nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_named(given: tuple[str, ...], problem: str) -> None:
    with pytest.raises((ValueError, OSError), match=problem):
        options(*given)
