"""Prompts of known size and their request bodies; prompts differ except for shared pieces.

Texts consist of common words that are one token each, after a space, in the vocabularies of Qwen,
SmolLM2 and similar models. Before a run starts, it measures the tokens per word of the actual
tokenizer and the tokens that the chat template adds (`WordCost`).
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
_ORDINARY_IDS = range(1000, 30_000)  # has no special tokens, and every vocabulary is larger


class Ending(StrEnum):
    """How the length of an answer is set."""

    SIMULATED = "simulated"  # a simulated engine receives it, the gateway does not know it
    EXACT = "exact"  # ignore_eos and max_tokens: the gateway knows it in advance
    FREE = "free"  # the model decides; `output_tokens` has no effect


class Route(StrEnum):
    """The API route of the requests."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"  # token ids: exact on any tokenizer


@dataclass(frozen=True, slots=True)
class WordCost:
    """Tokens per word, and the tokens that the chat template adds."""

    tokens_per_word: float = 1.0
    template_tokens: float = 0.0

    def words(self, tokens: float) -> int:
        """The number of words with about `tokens` tokens; at least 1."""
        return max(1, round(tokens / self.tokens_per_word))


@dataclass(frozen=True, slots=True)
class Dialect:
    """The request format of an endpoint."""

    model: str
    route: Route = Route.CHAT
    ending: Ending = Ending.FREE
    cost: WordCost = WordCost()


def body(ask: Ask, dialect: Dialect, rng: random.Random) -> bytes:
    """The JSON body of a streamed request for `ask`."""
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
    """The file's fields; the run sets only those that it needs for measuring."""
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
    """A random text of so many words."""
    return " ".join(rng.choices(_WORDS, k=words))


def _messages(ask: Ask, cost: WordCost, rng: random.Random) -> Sequence[dict[str, str]]:
    """Chat messages; the shared pieces are the system message, so every template has them first."""
    own = ask.prompt_tokens - sum(tokens for _, tokens in ask.shared) - cost.template_tokens
    user = {"role": "user", "content": text_of(cost.words(own), rng)}
    shared = " ".join(_shared_text(name, cost.words(tokens)) for name, tokens in ask.shared)
    return [{"role": "system", "content": shared}, user] if shared else [user]


@lru_cache(maxsize=4096)  # of 512 words each in a trace: some 12 MB
def _shared_text(name: str, words: int) -> str:
    """A text that depends only on the name and the number of words."""
    return text_of(words, random.Random(name))  # noqa: S311 - a workload, no secret


def _ids(ask: Ask, rng: random.Random) -> list[int]:
    ids: list[int] = []
    for name, tokens in ask.shared:
        ids += random.Random(name).choices(_ORDINARY_IDS, k=tokens)  # noqa: S311 - no secret
    own = max(1, ask.prompt_tokens - len(ids))
    return ids + rng.choices(_ORDINARY_IDS, k=own)
