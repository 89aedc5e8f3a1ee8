"""What is asked, by whom, how patiently."""

import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from loadtests.asking.ask import Ask, Fitting, fitted
from loadtests.asking.behaviour import JUDGE, PEOPLE, Behaviour
from loadtests.asking.lengths import Lengths
from loadtests.asking.prompts import Dialect, Ending, Route, WordCost, body
from loadtests.asking.schedule import ask_of, drawn, replayed
from loadtests.asking.tenants import Tenant, draw, nobody, one_greedy, read_tenants
from loadtests.asking.trace_file import Row, read_rows
from loadtests.scenarios import CHAT, LONG_CONTEXT, MIXED, SCENARIOS, SHARED_PREFIX, find_scenario
from loadtests.shapes import SHAPES, find_shape

ASK = Ask("chat", prompt_tokens=50, output_tokens=20, max_tokens=200)


def rng(seed: int = 1) -> random.Random:
    return random.Random(seed)


def sent(ask: Ask = ASK, seed: int = 1, **dialect: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(body(ask, Dialect("m", **dialect), rng(seed)))
    return fields


def words(message: dict[str, str]) -> int:
    return len(message["content"].split())


# -- lengths and scenarios -----------------------------------------------------------------


@pytest.mark.parametrize(("mean", "median"), [(862, 728), (28, 13), (100, 100)])
def test_lengths_have_their_mean_and_median(mean: float, median: float) -> None:
    random_numbers = rng()
    lengths = Lengths(mean, median, most_tokens=1_000_000)
    found = [lengths.draw(random_numbers) for _ in range(20_000)]
    assert statistics.mean(found) == pytest.approx(mean, rel=0.06)
    assert statistics.median(found) == pytest.approx(median, rel=0.06)


def test_no_length_is_above_the_most_or_below_one() -> None:
    random_numbers = rng()
    found = [Lengths(5, 1, most_tokens=9).draw(random_numbers) for _ in range(2000)]
    assert (min(found), max(found)) == (1, 9)


@pytest.mark.parametrize("lengths", [(5, 9, 20), (30, 20, 25), (5, 0.5, 10)])
def test_lengths_that_contradict_themselves_are_refused(lengths: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="median <= mean <= most"):
        Lengths(*lengths)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_asks_what_a_context_of_40k_holds(name: str) -> None:
    random_numbers = rng()
    for _ in range(300):
        ask = find_scenario(name).draw(random_numbers)
        assert 1 <= ask.output_tokens <= ask.max_tokens
        assert sum(tokens for _, tokens in ask.shared) < ask.prompt_tokens
        assert ask.prompt_tokens + ask.max_tokens <= 40_000


def test_a_mix_keeps_its_shares() -> None:
    random_numbers = rng()
    kinds = [MIXED.draw(random_numbers).kind for _ in range(4000)]
    assert kinds.count("chat") / len(kinds) == pytest.approx(0.5, abs=0.03)
    assert kinds.count("reasoning") / len(kinds) == pytest.approx(0.1, abs=0.02)


def test_an_unknown_scenario_or_shape_is_told_what_there_is() -> None:
    with pytest.raises(ValueError, match="no scenario 'talk'; there are: chat"):
        find_scenario("talk")
    with pytest.raises(ValueError, match="no shape 'flat'; there are: steady"):
        find_shape("flat")


def test_what_a_context_does_not_hold_is_not_asked() -> None:
    random_numbers = rng()
    fitting = Fitting(LONG_CONTEXT, 8192)
    asks = [fitting.draw(random_numbers) for _ in range(500)]
    assert max(ask.prompt_tokens + ask.max_tokens for ask in asks) <= 8192
    assert all(ask.output_tokens <= ask.max_tokens for ask in asks)
    with pytest.raises(ValueError, match="long-context does not fit a context of 50 tokens"):
        Fitting(LONG_CONTEXT, 50).draw(random_numbers)


def test_max_tokens_is_cut_to_the_context_and_the_answer_is_not() -> None:
    assert fitted(ASK, None) == ASK
    assert fitted(ASK, 1000) == ASK
    cut = fitted(ASK, 150)
    assert cut is not None
    assert (cut.output_tokens, cut.max_tokens) == (20, 84)  # 150 - 16 - 50
    assert fitted(ASK, 80) is None


# -- prompts -------------------------------------------------------------------------------


def test_a_prompt_has_the_words_that_make_its_tokens() -> None:
    (message,) = sent(cost=WordCost(tokens_per_word=1.5, template_tokens=8))["messages"]
    assert words(message) == 28  # (50 - 8) / 1.5


def test_prompts_differ_from_their_first_words_on() -> None:
    openings = {sent(seed=seed)["messages"][0]["content"][:40] for seed in range(50)}
    assert len(openings) == 50


def test_what_is_shared_is_the_same_for_all_and_comes_first() -> None:
    asks = [SHARED_PREFIX.draw(rng(seed)) for seed in (1, 2)]
    one, two = (sent(ask, seed)["messages"] for seed, ask in enumerate(asks))
    assert one[0] == two[0]
    assert one[0]["role"] == "system"
    assert words(one[0]) == 2000
    assert one[1] != two[1]


def test_token_ids_are_exact_and_share_their_beginning() -> None:
    ask = Ask("x", prompt_tokens=100, output_tokens=5, max_tokens=9, shared=(("a", 60),))
    one, two = (sent(ask, seed, route=Route.COMPLETIONS)["prompt"] for seed in (1, 2))
    assert len(one) == len(two) == 100
    assert one[:60] == two[:60]
    assert one[60:] != two[60:]


def test_a_simulated_engine_is_told_a_length_that_the_gateway_does_not_read() -> None:
    fields = sent(ending=Ending.SIMULATED)
    assert fields["max_tokens"] == 200
    assert fields["vllm_xargs"] == {"simulated_output_tokens": 20}


def test_a_real_engine_is_held_to_an_exact_length() -> None:
    fields = sent(ending=Ending.EXACT)
    assert (fields["max_tokens"], fields["ignore_eos"]) == (20, True)


def test_left_to_itself_the_model_decides() -> None:
    fields = sent(ending=Ending.FREE)
    assert fields["max_tokens"] == 200
    assert not {"ignore_eos", "vllm_xargs"} & fields.keys()


def test_every_request_streams_and_asks_for_usage() -> None:
    assert sent()["stream"] is True
    assert sent()["stream_options"] == {"include_usage": True}


# -- behaviour -----------------------------------------------------------------------------


def test_a_judge_never_comes_back() -> None:
    assert JUDGE.draw(rng(), 100).wait_s(1.0, 0, rng()) is None


def test_who_obeys_waits_exactly_as_told() -> None:
    temper = Behaviour(retries=2).draw(rng(), 100)
    assert temper.wait_s(7.5, 0, rng()) == 7.5
    assert temper.wait_s(7.5, 2, rng()) is None
    assert temper.wait_s(121.0, 0, rng()) is None


@pytest.mark.parametrize("told_s", [None, 60.0])
def test_who_does_not_obey_doubles_from_half_a_second(told_s: float | None) -> None:
    temper = Behaviour(retries=9, obeys_retry_after=0).draw(rng(), 100)
    waits = [temper.wait_s(told_s, retry, rng()) or 0.0 for retry in range(7)]
    assert 0.375 <= waits[0] <= 0.5
    assert all(b <= 8.0 for b in waits)
    assert waits[6] >= 6.0


def test_shares_of_a_crowd_are_kept() -> None:
    random_numbers = rng()
    tempers = [PEOPLE.draw(random_numbers, 100) for _ in range(4000)]
    assert sum(t.obeys for t in tempers) / 4000 == pytest.approx(0.8, abs=0.03)
    left = [t.hangs_up_after for t in tempers if t.hangs_up_after is not None]
    assert len(left) / 4000 == pytest.approx(0.05, abs=0.015)
    assert all(1 <= after <= 99 for after in left)


@pytest.mark.parametrize(
    "wrong", [{"obeys_retry_after": 1.5}, {"hangs_up": -1}, {"retries": -1}, {"patience_s": 0}]
)
def test_behaviour_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Behaviour"):
        Behaviour(**wrong)


# -- tenants -------------------------------------------------------------------------------


def test_tenants_are_read_with_their_keys_and_weights(tmp_path: Path) -> None:
    path = tmp_path / "tenants"
    path.write_text("# who\nteam-a key-a\n\nteam-b key-b 2.5  # busy\n")
    assert read_tenants(path) == (Tenant("team-a", "key-a"), Tenant("team-b", "key-b", 2.5))


@pytest.mark.parametrize(
    ("text", "problem"), [("a", ":1: 'a' is not"), ("", "no tenant"), ("a b c", "'a b c' is not")]
)
def test_a_bad_line_of_tenants_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "tenants"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_tenants(path)


def test_a_greedy_tenant_asks_as_often_as_said() -> None:
    crowd = one_greedy([Tenant(name) for name in "abcdefghij"], 11)
    random_numbers = rng()
    names = [draw(crowd, random_numbers).name for _ in range(4000)]
    assert names.count("a") / len(names) == pytest.approx(11 / 20, abs=0.03)


# -- shapes and schedules ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("steady", 1.0),
        ("soak", 0.9),
        ("overload-1.5x", 1.5),
        ("overload-2x", 2.0),
        ("overload-4x", 4.0),
        ("burst", 0.76),
        ("ramp", 1.0),
        ("drain", 1.0),
        ("greedy", 2.0),
    ],
)
def test_a_shape_brings_the_load_of_its_name(name: str, load: float) -> None:
    curve = SHAPES[name].curve(per_s=3.0, seconds=100)
    assert curve.until_s == pytest.approx(100)
    assert curve.expected() == pytest.approx(300 * load)


def test_every_shape_is_tried_here() -> None:
    assert len(SHAPES) == 9


def test_a_schedule_draws_size_and_tenant_for_each_arrival() -> None:
    crowd = (Tenant("a", weight=1), Tenant("b", weight=3))
    plan = list(drawn(SHAPES["steady"].curve(5, 200), CHAT, crowd, rng()))
    assert len({arrival.ask for arrival in plan}) > 900
    share = sum(arrival.tenant.name == "b" for arrival in plan) / len(plan)
    assert share == pytest.approx(0.75, abs=0.05)


def test_a_trace_keeps_its_clients_apart_and_starts_at_zero() -> None:
    rows = [Row(10, 5, at_s=100.0 + n, client=str(n % 3)) for n in range(60)]
    crowd = tuple(Tenant(name) for name in "abcdefgh")
    plan = list(replayed(rows, crowd, rng()))
    assert plan[0].at_s == 0
    for client in range(3):
        assert len({arrival.tenant for arrival in plan[client::3]}) == 1


def test_a_trace_without_times_cannot_be_replayed() -> None:
    with pytest.raises(ValueError, match="no timestamp_s"):
        list(replayed([Row(10, 5)], nobody(), rng()))


def test_full_blocks_of_a_trace_are_shared_and_the_rest_is_its_own() -> None:
    ask = ask_of(Row(1100, 5, blocks=("7", "8", "9")), max_tokens=50)
    assert ask.shared == (("block 7", 512), ("block 8", 512))
    assert ask_of(Row(1024, 0, blocks=("7", "8")), max_tokens=50).shared == (("block 7", 512),)
    assert ask_of(Row(1024, 0), max_tokens=0).output_tokens == 1


def test_clients_and_blocks_of_a_trace_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("prompt_tokens,output_tokens,client_id,prefix_block_ids_512\n600,3,c,4 5\n")
    assert read_rows(path) == [Row(600, 3, None, "c", ("4", "5"))]


def test_patience_without_end_is_endless() -> None:
    assert JUDGE.draw(rng(), 5).patience_s == math.inf
