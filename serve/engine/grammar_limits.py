"""Structured outputs that are refused by their looks: too large to compile, or contradictory."""

import json
from collections.abc import Collection, Iterator
from typing import Any, Protocol

SPEC_CHARS = 65_536  # OpenAI's limits come to about 120,000 for the names and values alone
PROPERTIES = 1_000  # of a schema in all; compiling takes their square: 4 s if all are optional
ITEMS = 100_000  # of a schema's arrays in all; llguidance, which vLLM asks about what xgrammar
# does not know, takes a kilobyte for each, and was not seen to end at 2^63

_COUNTS = ("minItems", "maxItems", "minContains", "maxContains")


class Structured(Protocol):
    """What is read of vLLM's StructuredOutputsParams."""

    json: Any
    regex: str | None
    choice: list[str] | None
    grammar: str | None
    structural_tag: str | None


class Sampling(Protocol):
    """What is read of vLLM's SamplingParams."""

    min_tokens: int
    stop_token_ids: list[int]
    allowed_token_ids: list[int] | None
    bad_words: list[str]


def too_large(form: Structured) -> str | None:
    """Why it is not even tried; None when it is."""
    spec = _spec(form)
    text = spec if isinstance(spec, str) else json.dumps(spec)
    if len(text) > SPEC_CHARS:
        return f"The structured output is described in more than {SPEC_CHARS} characters."
    schema = _parsed(spec) if form.json is not None or form.structural_tag is not None else None
    if sum(1 for _ in _properties(schema)) > PROPERTIES:
        return f"The JSON schema has more than {PROPERTIES} properties."
    if sum(_items(schema)) > ITEMS:
        return f"The JSON schema allows arrays of more than {ITEMS} items in all."
    return None


def contradiction(params: Sampling, special: Collection[int]) -> str | None:
    """A parameter that may forbid the only tokens that the form allows; None when there is none.

    `special` tokens stand in no text, so a form never needs them.
    """
    given = {
        "min_tokens": params.min_tokens,
        "allowed_token_ids": params.allowed_token_ids,
        "bad_words": params.bad_words,
        "stop_token_ids": set(params.stop_token_ids) - set(special),
    }
    name = next((name for name, value in given.items() if value), None)
    if name is None:
        return None
    return f"{name} cannot be combined with structured outputs: it may forbid what they require."


def _spec(form: Structured) -> Any:
    given = (form.json, form.regex, form.choice, form.grammar, form.structural_tag)
    return next((spec for spec in given if spec is not None), "")


def _parsed(spec: Any) -> Any:
    """The document in `spec`; what is no JSON is vLLM's to refuse."""
    if not isinstance(spec, str):
        return spec
    try:
        return json.loads(spec)
    except (ValueError, RecursionError):
        return None


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    level = [document]
    while level:
        yield from (each for each in level if isinstance(each, dict))
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]


def _properties(schema: Any) -> Iterator[str]:
    for each in _objects(schema):
        properties = each.get("properties")
        if isinstance(properties, dict):
            yield from properties


def _items(schema: Any) -> Iterator[float]:
    for each in _objects(schema):
        counts = (each.get(name) for name in _COUNTS)
        yield from (max(0, count) for count in counts if isinstance(count, int | float))
