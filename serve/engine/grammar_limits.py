"""Refuses structured outputs before compilation: too large, contradictory, or incomplete."""

import json
from collections.abc import Collection, Iterator
from typing import Any, Protocol
from urllib.parse import unquote

SPEC_CHARS = 65_536  # OpenAI's limits allow about 120,000 for names and values alone
PROPERTIES = 1_000  # of a schema in all; compile time is quadratic: 4 s if all are optional
ITEMS = 100_000  # of a schema's arrays in all; llguidance, which vLLM asks about what xgrammar
# does not know, takes a kilobyte for each, and was not seen to end at 2^63

_VALUES = ("const", "default", "enum", "examples")  # whose contents are no schemas
_COUNTS = ("minItems", "maxItems", "minContains", "maxContains")


class Structured(Protocol):
    """The part of vLLM's StructuredOutputsParams that is read."""

    json: Any
    regex: str | None
    choice: list[str] | None
    grammar: str | None
    structural_tag: str | None


class SamplingLike(Protocol):
    """The part of vLLM's SamplingParams that is read."""

    min_tokens: int
    stop_token_ids: list[int]
    allowed_token_ids: list[int] | None
    bad_words: list[str]


def too_large(form: Structured) -> str | None:
    """Why it is not compiled at all; None if it may be."""
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


def missing_reference(form: Structured) -> str | None:
    """A sentence that names the first `$ref` into a schema that leads nowhere in it."""
    for root in _schemas(form):
        for schema in _objects(root, skip=_VALUES):
            reference = schema.get("$ref")
            if isinstance(reference, str) and reference[:1] == "#" and not _leads(reference, root):
                return f"The JSON schema refers to {reference}, which it does not contain."
    return None


def _schemas(form: Structured) -> Iterator[Any]:
    """The documents that references are looked up in."""
    if form.json is not None:
        yield _parsed(form.json)
    elif form.structural_tag is not None:
        for each in _objects(_parsed(form.structural_tag)):
            yield from (each[key] for key in ("json_schema", "schema") if key in each)


def _leads(reference: str, root: Any) -> bool:
    """Whether a JSON pointer (RFC 6901) finds something; other anchors are the compiler's."""
    if reference[1:2] not in ("", "/"):
        return True
    place = root
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and name in place:
            place = place[name]
        elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        else:
            return False
    return True


def contradiction(params: SamplingLike, special: Collection[int]) -> str | None:
    """A parameter that may forbid the only tokens that the form allows; None when there is none.

    `special` tokens occur in no text, so a form never needs them.
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
    """The document in `spec`; vLLM itself refuses what is no JSON."""
    if not isinstance(spec, str):
        return spec
    try:
        return json.loads(spec)
    except (ValueError, RecursionError):
        return None


def _objects(document: Any, *, skip: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """Every object in a JSON document, but for what is below the keys in `skip`."""
    level = [document]
    while level:
        yield from (each for each in level if isinstance(each, dict))
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (_values(each, skip) if isinstance(each, dict) else each)
        ]


def _values(each: dict[str, Any], skip: Collection[str]) -> Iterator[Any]:
    return (value for key, value in each.items() if key not in skip)


def _properties(schema: Any) -> Iterator[str]:
    for each in _objects(schema):
        properties = each.get("properties")
        if isinstance(properties, dict):
            yield from properties


def _items(schema: Any) -> Iterator[float]:
    for each in _objects(schema):
        counts = (each.get(name) for name in _COUNTS)
        yield from (max(0, count) for count in counts if isinstance(count, int | float))
