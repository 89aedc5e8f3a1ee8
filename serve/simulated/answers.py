"""Tokens and ends of simulated sequences: filler text, valid under a grammar."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

LENGTH_KEY = "simulated_output_tokens"  # in a request's `vllm_xargs`: its length, for replays
_P90 = 1.2815515655446004  # standard normal deviate below which 90 % lie

FILLER = (
    "A server that answers many people at once has to share its memory between them, and it does"
    " so in small blocks. Each answer takes one more block every few words, and gives all of them"
    " back when it ends. How long an answer becomes is not known when it begins, so whoever lets"
    " the next one in has to think ahead: how much room will those inside still need, and when"
    " will some of it come back? "
)
# Tried in this order if a grammar leaves a choice, so that every text, object and list ends.
IN_TEXT = ('"', "a")
OUTSIDE = ("{", "}", "]", ",", ":", '"', "[", "1", "true", "a", " ")

_Mask = npt.NDArray[np.int32]  # one bit per token of the vocabulary, lowest first


class Sampling(Protocol):
    """The part of vLLM's SamplingParams that is read."""

    ignore_eos: bool
    min_tokens: int
    extra_args: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Lengths:
    """Output lengths in tokens: log-normal, given by two quantiles."""

    median_tokens: float
    p90_tokens: float

    def draw(self, rng: random.Random) -> int:
        """One length, at least 1."""
        sigma = math.log(self.p90_tokens / self.median_tokens) / _P90
        return max(1, round(rng.lognormvariate(math.log(self.median_tokens), sigma)))


@dataclass(frozen=True, slots=True)
class Words:
    """Token ids that the answers are made of; `spell` gives the text of any of them."""

    filler: Sequence[int]
    in_text: Sequence[int]
    outside: Sequence[int]
    eos: int
    spell: Callable[[int], str]


@dataclass(slots=True)
class _Answer:
    length: float  # inf for one that does not end by itself
    offset: int  # where in the filler it begins
    produced: int = 0
    in_text: bool = False  # between the quotation marks of a JSON text


class Answers:
    """One entry per unfinished sequence, by the engine's own request id."""

    def __init__(self, words: Words, lengths: Lengths, *, seed: int) -> None:
        self._words = words
        self._lengths = lengths
        self._rng = random.Random(seed)  # noqa: S311 - a workload, no secret
        self._answers: dict[str, _Answer] = {}

    def begin(self, key: str, sampling: Sampling) -> None:
        """Begins a sequence. A preempted one continues when it is scheduled again."""
        if key in self._answers:
            return
        drawn = self._lengths.draw(self._rng)
        offset = self._rng.randrange(len(self._words.filler))
        length = _given_length(sampling.extra_args or {}) or drawn
        endless = math.inf if sampling.ignore_eos else max(length, sampling.min_tokens)
        self._answers[key] = _Answer(endless, offset)

    def produced(self, key: str) -> int:
        """Tokens of the sequence so far."""
        return self._answers[key].produced

    def next_token(self, key: str, allowed: _Mask | None = None) -> int:
        """The sequence's next token: filler, its end, or what the grammar allows."""
        answer = self._answers[key]
        answer.produced += 1
        words = self._words
        if allowed is not None:
            return self._within(allowed, answer)
        if answer.produced >= answer.length:
            return words.eos
        return words.filler[(answer.offset + answer.produced) % len(words.filler)]

    def _within(self, allowed: _Mask, answer: _Answer) -> int:
        """The end if it is allowed; inside a text a word of filler before its end."""
        words = self._words
        if _is_allowed(allowed, words.eos):
            return words.eos
        tried: Sequence[int] = words.in_text if answer.in_text else words.outside
        if answer.in_text and answer.produced % 2 == 0:
            filler = words.filler[(answer.offset + answer.produced) % len(words.filler)]
            tried = (filler, *tried)
        token = next((t for t in tried if _is_allowed(allowed, t)), None)
        if token is None:
            token = _lowest(allowed, otherwise=words.eos)
        answer.in_text ^= words.spell(token).count('"') % 2 == 1
        return token

    def end(self, key: str) -> None:
        """Forgets a sequence that has ended for any reason."""
        self._answers.pop(key, None)


def _is_allowed(allowed: _Mask, token: int) -> bool:
    return bool(int(allowed[token >> 5]) >> (token & 31) & 1)


def _given_length(extra_args: Mapping[str, Any]) -> int | None:
    """Tokens that the request names; None for any other value: it must not crash the engine."""
    given = extra_args.get(LENGTH_KEY)
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    if not math.isfinite(given):
        return None
    return max(1, int(given))


def _lowest(allowed: _Mask, *, otherwise: int) -> int:
    """The first token that is allowed; `otherwise` when the grammar forbids everything."""
    words = np.flatnonzero(allowed)
    if not words.size:
        return otherwise
    word = int(words[0])
    bits: int = int(allowed[word]) & 0xFFFFFFFF
    return word * 32 + (bits & -bits).bit_length() - 1
