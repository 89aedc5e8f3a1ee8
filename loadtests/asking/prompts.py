"""Prompts of known size, and the bodies around them; each is different, unless shared.

Texts are made of common words that are one token each in the vocabularies of Qwen, SmolLM2 and
their kin, after a space. What another tokenizer makes of them, and what the chat template adds,
the run measures before it starts (`WordCost`).
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from loadtests.asking.ask import Ask
from loadtests.asking.given import Asked

_COMMON = (
    "time people way day man thing woman life child world school state family student group"
    " country problem hand part place case week company system program question work government"
    " number night point home water room mother area money story fact month lot right study book"
    " eye job word business issue side kind head house service friend father power hour game line"
    " end member law car city name president team minute idea body information back parent face"
    " others level office door health person art war history party result change morning reason"
    " research girl guy moment air teacher force education foot boy age policy music market light"
    " voice paper image river stone cloud garden engine winter orange silver window letter forest"
    " bridge island"
)
_WORDS = _COMMON.split()
_ORDINARY_IDS = range(1000, 30_000)  # no special tokens there, and every vocabulary is larger


class Ending(StrEnum):
    """How an answer gets the length it was asked for."""

    SIMULATED = "simulated"  # a simulated engine is told, the gateway is not
    EXACT = "exact"  # ignore_eos and max_tokens: everybody knows it beforehand
    FREE = "free"  # the model decides; `output_tokens` is not kept


class Route(StrEnum):
    """Which API is asked."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"  # token ids: exact on any tokenizer


@dataclass(frozen=True, slots=True)
class WordCost:
    """Tokens per word, and what a chat's template adds."""

    tokens_per_word: float = 1.0
    template_tokens: float = 0.0

    def words(self, tokens: float) -> int:
        """So many words make about `tokens`; at least 1."""
        return max(1, round(tokens / self.tokens_per_word))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How this endpoint is spoken to."""

    model: str
    route: Route = Route.CHAT
    ending: Ending = Ending.FREE
    cost: WordCost = WordCost()


def body(ask: Ask, dialect: Dialect, rng: random.Random) -> bytes:
    """The JSON of a streamed request that asks for `ask`."""
    if ask.given is not None:
        return json.dumps(_given_fields(ask.given, dialect)).encode()
    fields: dict[str, Any] = {
        "model": dialect.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": ask.max_tokens,
    }
    if dialect.ending is Ending.EXACT:
        fields |= {"max_tokens": ask.output_tokens, "ignore_eos": True}
    elif dialect.ending is Ending.SIMULATED:
        fields["vllm_xargs"] = {"simulated_output_tokens": ask.output_tokens}
    if dialect.route is Route.CHAT:
        fields["messages"] = _messages(ask, dialect.cost, rng)
    else:
        fields["prompt"] = _ids(ask, rng)
    return json.dumps(fields).encode()


def _given_fields(asked: Asked, dialect: Dialect) -> dict[str, Any]:
    """As the file has it; only what the run must know to measure is the run's own."""
    fields = dict(asked.given.fields) | {
        "model": dialect.model,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    tokens = asked.known_output_tokens()
    if tokens is not None and dialect.ending is Ending.EXACT:
        fields.pop("max_completion_tokens", None)
        fields |= {"max_tokens": tokens, "ignore_eos": True}
    elif tokens is not None and dialect.ending is Ending.SIMULATED:
        own = fields.get("vllm_xargs") or {}
        fields["vllm_xargs"] = {"simulated_output_tokens": tokens} | own
    prompt = asked.given.prompt
    if dialect.route is Route.COMPLETIONS:
        fields["prompt"] = prompt
    elif prompt is not None:
        fields["messages"] = [{"role": "user", "content": prompt}]
    else:
        fields["messages"] = asked.messages()
    return fields


def text_of(words: int, rng: random.Random) -> str:
    """So many words."""
    return " ".join(rng.choices(_WORDS, k=words))


def _messages(ask: Ask, cost: WordCost, rng: random.Random) -> Sequence[dict[str, str]]:
    """What is shared is the system's message, so that it comes first in every template."""
    own = ask.prompt_tokens - sum(tokens for _, tokens in ask.shared) - cost.template_tokens
    user = {"role": "user", "content": text_of(cost.words(own), rng)}
    shared = " ".join(_shared_text(name, cost.words(tokens)) for name, tokens in ask.shared)
    return [{"role": "system", "content": shared}, user] if shared else [user]


@lru_cache(maxsize=4096)  # of 512 words each in a trace: some 12 MB
def _shared_text(name: str, words: int) -> str:
    """The same for the same name, in every run."""
    return text_of(words, random.Random(name))  # noqa: S311 - a workload, no secret


def _ids(ask: Ask, rng: random.Random) -> list[int]:
    ids: list[int] = []
    for name, tokens in ask.shared:
        ids += random.Random(name).choices(_ORDINARY_IDS, k=tokens)  # noqa: S311 - no secret
    own = max(1, ask.prompt_tokens - len(ids))
    return ids + rng.choices(_ORDINARY_IDS, k=own)
