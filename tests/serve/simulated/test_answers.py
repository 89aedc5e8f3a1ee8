"""Simulated sequences end when they should, and stay within what a grammar allows."""

import random
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from serve.simulated.answers import LENGTH_KEY, Answers, Lengths, Words

# token ids of a small vocabulary
TEXT = dict(enumerate(["<eos>", "word", "and", '"', "}", "{", "x", "y", '{"', '":', "1", ","]))
ID = {text: token for token, text in TEXT.items()}
WORDS = Words(
    filler=(ID["word"], ID["and"]),
    in_text=(ID['"'],),
    outside=tuple(ID[text] for text in ("{", "}", ",", '"', "1")),
    eos=ID["<eos>"],
    spell=lambda token: TEXT.get(token, "?"),
)


@dataclass
class Sampling:
    ignore_eos: bool = False
    min_tokens: int = 0
    extra_args: dict[str, Any] | None = field(default_factory=dict)


def answers(seed: int = 1) -> Answers:
    return Answers(WORDS, Lengths(median_tokens=100, p90_tokens=300), seed=seed)


def said(found: Answers, key: str, most: int = 10_000) -> list[int]:
    """Tokens up to the end, at most `most`."""
    tokens: list[int] = []
    while len(tokens) < most and WORDS.eos not in tokens:
        tokens.append(found.next_token(key))
    return tokens


def mask(*texts: str, words: int = 2) -> npt.NDArray[np.int32]:
    bits = np.zeros(words, dtype=np.uint32)
    for text in texts:
        bits[ID[text] >> 5] |= np.uint32(1 << (ID[text] & 31))
    return bits.view(np.int32)


def test_lengths_have_the_quantiles_that_were_asked_for() -> None:
    rng = random.Random(3)
    drawn = sorted(Lengths(100, 300).draw(rng) for _ in range(4000))
    assert statistics.median(drawn) == pytest.approx(100, rel=0.06)
    assert drawn[3600] == pytest.approx(300, rel=0.1)
    assert Lengths(50, 50).draw(rng) == 50


def test_the_same_seed_gives_the_same_lengths() -> None:
    def lengths(seed: int) -> list[int]:
        found = answers(seed)
        keys = [str(number) for number in range(20)]
        for key in keys:
            found.begin(key, Sampling())
        return [len(said(found, key)) for key in keys]

    assert lengths(1) == lengths(1) != lengths(2)


@pytest.mark.parametrize(
    ("sampling", "length"),
    [
        (Sampling(extra_args={LENGTH_KEY: 7}), 7),
        (Sampling(extra_args={LENGTH_KEY: 7}, min_tokens=12), 12),
        (Sampling(extra_args={LENGTH_KEY: 0}), 1),
        (Sampling(extra_args={LENGTH_KEY: 7}, ignore_eos=True), 500),  # asked for no more
    ],
)
def test_a_request_may_name_its_own_length(sampling: Sampling, length: int) -> None:
    found = answers()
    found.begin("a", sampling)
    assert len(said(found, "a", most=500)) == length


def test_a_preempted_sequence_goes_on_where_it_was() -> None:
    found = answers()
    found.begin("a", Sampling(extra_args={LENGTH_KEY: 9}))
    for _ in range(4):
        found.next_token("a")
    found.begin("a", Sampling(extra_args={LENGTH_KEY: 9}))
    assert found.produced("a") == 4
    assert len(said(found, "a")) == 5


def test_without_arguments_a_length_is_drawn() -> None:
    found = answers()
    found.begin("a", Sampling(extra_args=None))
    assert said(found, "a")[-1] == WORDS.eos


def test_a_grammar_is_obeyed_and_ends_as_soon_as_it_may() -> None:
    found = answers()
    found.begin("a", Sampling(extra_args={LENGTH_KEY: 2}))  # the grammar decides, not the length
    in_text = ("word", "and", '"', "}", "{", "x", ",")
    walk: Iterable[tuple[tuple[str, ...], str]] = [
        (('{"', "{", "x"), "{"),
        (('"', "}"), "}"),
        (("x", "y"), "x"),  # nothing of ours is allowed: the first that is
        (('{"', "x"), "x"),
    ]
    for allowed, chosen in walk:
        assert TEXT[found.next_token("a", mask(*allowed))] == chosen
    assert TEXT[found.next_token("a", mask('"'))] == '"'
    inside = [TEXT[found.next_token("a", mask(*in_text))] for _ in range(2)]
    assert inside[-1] == '"'
    assert TEXT[found.next_token("a", mask("}", ",", "<eos>"))] == "<eos>"


def test_tokens_beyond_the_first_word_of_the_mask_are_found() -> None:
    found = answers()
    found.begin("a", Sampling())
    bits = np.zeros(3, dtype=np.int32)
    bits[1] = np.int32(-(2**31))  # token 63
    assert found.next_token("a", bits) == 63


@pytest.mark.parametrize("given", ["x", [3], 1e400, None, True])
def test_a_length_that_is_no_number_leaves_the_drawn_one(given: Any) -> None:
    found = answers()
    found.begin("a", Sampling(extra_args={LENGTH_KEY: given}))
    assert said(found, "a")[-1] == WORDS.eos


def test_a_grammar_that_forbids_everything_ends_the_answer_and_not_the_engine() -> None:
    found = answers()
    found.begin("a", Sampling())
    assert found.next_token("a", mask()) == WORDS.eos
