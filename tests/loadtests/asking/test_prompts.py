"""Prompts of a user's own: read whole before anything is asked, and asked as they are."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from admission.terms.slo import Slo
from loadtests.asking.behaviour import JUDGE
from loadtests.asking.given import Asked
from loadtests.asking.prompt_file import read_prompts
from loadtests.asking.prompts import Dialect, Ending, Route, body
from loadtests.asking.schedule import Arrival
from loadtests.asking.tenants import nobody
from loadtests.client.attempt import Attempt, Call, End
from loadtests.client.journey import Session, converse, prepare
from loadtests.client.stream import AnswerReader
from loadtests.judging.summary import remarks, summarize
from loadtests.prompts import Prompts, load_prompts
from loadtests.record import Outcome, Record
from tests.loadtests.client.test_journey import VirtualClock

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {}}]}


def written(folder: Path, *entries: object, name: str = "p.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(each) + "\n" for each in entries), encoding="utf-8")
    return path


def sent(
    path: Path, route: Route = Route.CHAT, ending: Ending = Ending.FREE
) -> list[dict[str, Any]]:
    """The first turn of each entry, as it goes out."""
    deck, bodies = load_prompts(path, route, None), []
    for given in deck.entries:
        ask = Prompts("p", [given]).draw(random.Random(1))
        bodies.append(json.loads(body(ask, Dialect("mine", route, ending), random.Random(1))))
    return bodies


# -- what a file may hold --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        "hi",
        {"prompt": "hi"},
        {"messages": [USER]},
        [USER],
        {"custom_id": "1", "method": "POST", "url": "/v1/x", "body": {"messages": [USER]}},
        {"turns": ["hi", "and?"]},
        {"turns": [[USER], USER]},
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]},
        {"conversations": [{"from": "gpt", "value": "x"}, {"from": "human", "value": "hi"}]},
        {"messages": [USER, {"role": "assistant", "content": "ho"}]},
        {"model": "other", "stream": False, "messages": [USER], "tools": None},
    ],
)
def test_a_message_of_a_user_is_read_in_any_form(tmp_path: Path, entry: object) -> None:
    (asked,) = sent(written(tmp_path, entry))
    assert asked == {
        "model": "mine",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [USER],
    }


def test_what_a_request_has_besides_goes_out_as_it_is(tmp_path: Path) -> None:
    more = {"tools": [TOOL], "tool_choice": "auto", "max_tokens": 9, "temperature": 0.3, "x": {}}
    (asked,) = sent(written(tmp_path, {"messages": [USER]} | more))
    assert {name: asked[name] for name in more} == more


def test_files_of_other_forms(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"prompt": "a"}, "b"], indent=1))
    (tmp_path / "b.txt").write_text("a\r\n\r\nb, and \u2028 more\n", encoding="utf-8")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'"a"\n"b"\n'))
    (tmp_path / "d.jsonl").write_bytes(b'\xef\xbb\xbf"a"\r\n\r\n"b"')
    for name in ("a.json", "b.txt", "c.jsonl.gz", "d.jsonl"):
        assert len(read_prompts(tmp_path / name)) == 2, name


def test_completions_take_texts_and_token_ids(tmp_path: Path) -> None:
    path = written(tmp_path, "hi", {"prompt": [1, 2, 3]})
    assert [each["prompt"] for each in sent(path, Route.COMPLETIONS)] == ["hi", [1, 2, 3]]


def test_lengths_are_told_where_they_are_known(tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": "hi", "output_tokens": 7, "max_completion_tokens": 50})
    (exact,) = sent(path, ending=Ending.EXACT)
    assert (exact["max_tokens"], exact["ignore_eos"]) == (7, True)
    assert "max_completion_tokens" not in exact
    (told,) = sent(path, ending=Ending.SIMULATED)
    assert told["vllm_xargs"] == {"simulated_output_tokens": 7}
    assert told["max_completion_tokens"] == 50
    (free,) = sent(path)
    assert "output_tokens" not in free
    assert "vllm_xargs" not in free


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("7", "int is no prompt: give a string"),
        ("null", "NoneType is no prompt"),
        ("{}", "has no prompt: give a string, or an object with prompt, messages, turns"),
        ('{"prompt": ""}', "prompt must be a text or a list of token ids"),
        ('{"prompt": [1, "a"]}', "prompt must be a text or a list of token ids"),
        ('{"prompt": "a", "messages": []}', "has both prompt and messages"),
        ('{"messages": []}', "messages must be a list with a message in it"),
        ('{"messages": "hi"}', "messages must be a list"),
        ('{"messages": [{"content": "a"}]}', "a message must be an object with a role"),
        ('{"messages": [{"role": "user"}]}', "a message of user needs content"),
        ('{"messages": [{"role": "user", "content": 7}]}', "content of a message must be"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "has no user message"),
        ('{"conversations": [{"from": "alien", "value": "a"}]}', "no role 'alien' is known"),
        ('{"conversations": ["a"]}', "conversations must be a list of objects"),
        ('{"turns": []}', "turns must be a list of texts"),
        ('{"prompt": "a", "max_tokens": 0}', "max_tokens 0 is not a number of at least 1"),
        ('{"prompt": "a", "output_tokens": "7"}', "output_tokens '7' is not a number"),
        ('{"prompt": "a", "tools": {}}', "tools must be a list"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f'"fine"\n\n{line}\n')
    with pytest.raises(ValueError, match=r"p\.jsonl:3: ") as raised:
        read_prompts(path)
    assert problem in str(raised.value)


def test_the_first_few_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{}\n"a"\n' * 9)
    with pytest.raises(ValueError, match="and 4 more like these") as raised:
        read_prompts(path)
    assert str(raised.value).count("p.jsonl:") == 5


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "no prompt in it"), (b"\xff\xfe", "not text"), (b"\x1f\x8b", "")]
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "p.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=f"p.jsonl: .*{problem}"):
        read_prompts(tmp_path / "p.jsonl")
    with pytest.raises(ValueError, match="nowhere: No such file"):
        read_prompts(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("entry", "route", "ending", "problem"),
    [
        ({"messages": [USER]}, Route.COMPLETIONS, None, "messages cannot be asked with --route"),
        ({"prompt": [1]}, Route.CHAT, None, "token ids need --route completions"),
        ("hi", Route.CHAT, Ending.EXACT, "--ending exact needs output_tokens"),
    ],
)
def test_what_the_run_cannot_ask_is_said_before_it(
    tmp_path: Path, entry: object, route: Route, ending: Ending | None, problem: str
) -> None:
    with pytest.raises(ValueError, match=rf"p\.jsonl:1: {problem}"):
        load_prompts(written(tmp_path, entry), route, ending)


# -- the deck --------------------------------------------------------------------------------------


def drawn(deck: Prompts, times: int, seed: int = 1) -> list[Asked]:
    rng = random.Random(seed)
    asks = [deck.draw(rng).given for _ in range(times)]
    return [each for each in asks if each is not None]


def test_none_is_asked_twice_before_all_were_asked(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"question {n}" for n in range(20)))
    deck = load_prompts(path, Route.CHAT, None)
    found = drawn(deck, 50)
    assert len({each.given.line for each in found[:20]}) == 20
    assert [each.repeat for each in found] == [False] * 20 + [True] * 30
    lines = [each.given.line for each in found[:20]]
    assert lines != sorted(lines)
    assert lines == [each.given.line for each in drawn(deck.fresh(), 20)]
    assert lines != [each.given.line for each in drawn(deck.fresh(), 20, seed=2)]


def test_equal_prompts_are_repeats_and_said(tmp_path: Path) -> None:
    same = ("hi", {"prompt": "hi"}, {"messages": [USER], "temperature": 1}, {"messages": [USER]})
    deck = load_prompts(written(tmp_path, *same), Route.CHAT, None)
    assert "4 prompts from p.jsonl, 1 of them different; as they are" in deck.word()
    assert sum(each.repeat for each in drawn(deck, 4)) == 3


# -- conversations ---------------------------------------------------------------------------------


class Talk:
    """An endpoint that says "one", then "two" ...; notes what it was asked; fails the nth call."""

    def __init__(self, clock: VirtualClock, fails_at: int | None = None) -> None:
        self.clock = clock
        self.fails_at = fails_at
        self.asked: list[dict[str, Any]] = []
        self.at_s: list[float] = []
        self.names: list[str] = []

    def attempt(self, call: Call) -> Attempt:
        self.asked.append(json.loads(call.body))
        self.at_s.append(self.clock.now_s())
        self.names.append(call.headers["x-request-id"])
        if len(self.asked) == self.fails_at:
            return Attempt(End.BROKEN, AnswerReader().heard(), 500, "http_500")
        self.clock.sleep(2.0)
        reader = AnswerReader(keep_text=call.keep_text)
        text = ("one", "two", "three")[len(self.asked) - 1]
        event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        reader.read(b"data: " + json.dumps(event).encode() + b"\n\n", self.clock.now_s())
        return Attempt(End.COMPLETE, reader.heard(), 200)


def talked(
    tmp_path: Path, entry: object, fails_at: int | None = None, think_s: float = 0.0
) -> tuple[Talk, Sequence[Record]]:
    deck = load_prompts(written(tmp_path, entry), Route.CHAT, None)
    clock = VirtualClock(0.0)
    line = Talk(clock, fails_at)
    session = Session(line, clock, Dialect("m"), JUDGE, "run")
    rng = random.Random(1)
    wish = prepare(session, Arrival(0.0, deck.draw(rng), nobody()[0]), 7, rng)
    records = list(converse(session, wish, think_s=think_s))
    assert session.going.requests == 0
    return line, records


def said(request: dict[str, Any]) -> list[Any]:
    return [each.get("content") for each in request["messages"]]


@pytest.mark.parametrize(
    "entry",
    [
        {"turns": ["a", "b", "c"]},
        {
            "conversations": [
                {"from": "human", "value": "a"},
                {"from": "gpt", "value": "recorded"},
                {"from": "human", "value": "b"},
                {"from": "gpt", "value": "recorded"},
                {"from": "human", "value": "c"},
            ]
        },
    ],
)
def test_each_turn_follows_the_answer_that_came(tmp_path: Path, entry: object) -> None:
    line, records = talked(tmp_path, entry)
    assert [said(each) for each in line.asked] == [
        ["a"],
        ["a", "one", "b"],
        ["a", "one", "b", "two", "c"],
    ]
    assert line.at_s == [0.0, 2.0, 4.0]
    assert line.names == ["run-7", "run-7t2", "run-7t3"]
    assert [record.turn for record in records] == [1, 2, 3]
    assert [record.ttft_s for record in records] == [2.0, 2.0, 2.0]


def test_between_turns_a_user_thinks(tmp_path: Path) -> None:
    line, records = talked(tmp_path, {"turns": ["a", "b"]}, think_s=50.0)
    assert line.at_s[1] > 2.5
    assert records[1].ttft_s == pytest.approx(2.0)


def test_who_got_no_answer_says_nothing_more(tmp_path: Path) -> None:
    line, records = talked(tmp_path, {"turns": ["a", "b", "c"]}, fails_at=2)
    assert [record.outcome for record in records] == [Outcome.ANSWERED, Outcome.FAILED]
    assert len(line.asked) == 2


def test_the_result_of_a_tool_follows_the_recorded_call(tmp_path: Path) -> None:
    result = {"role": "tool", "tool_call_id": "c", "content": "22 degrees"}
    last = {"role": "assistant", "content": "It is warm."}
    entry = {"messages": [USER, CALL, result, last, USER, last], "tools": [TOOL]}
    line, _ = talked(tmp_path, entry)
    assert [each["messages"] for each in line.asked] == [
        [USER],
        [USER, CALL, result],
        [USER, CALL, result, {"role": "assistant", "content": "two"}, USER],
    ]
    assert all(each["tools"] == [TOOL] for each in line.asked)


def test_a_history_that_was_given_is_one_request(tmp_path: Path) -> None:
    entry = {"messages": [USER, {"role": "assistant", "content": "ho"}, USER]}
    line, _ = talked(tmp_path, entry)
    assert [said(each) for each in line.asked] == [["hi", "ho", "hi"]]


def test_a_system_prompt_stays_first(tmp_path: Path) -> None:
    line, _ = talked(tmp_path, {"system": "be kind", "turns": ["a", "b"]})
    assert said(line.asked[1]) == ["be kind", "a", "one", "b"]


# -- what is said of them --------------------------------------------------------------------------


def test_repeats_and_estimates_are_said(tmp_path: Path) -> None:
    _, (first, second) = talked(tmp_path, {"turns": ["a", "b"]})
    assert (first.prompt_line, first.repeat, first.estimated) == (1, False, True)
    told = remarks(summarize([first, second], Slo(), 10.0))
    assert told[0].startswith("2 answers came without usage: their tokens are estimates")
    assert "0 of 2 prompts had been asked before in this run (0%)" in told[1]
