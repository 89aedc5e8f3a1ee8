"""Structured outputs that are refused before anything is compiled."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from serve.engine.grammar_limits import (
    ITEMS,
    PROPERTIES,
    SPEC_CHARS,
    contradiction,
    missing_reference,
    too_large,
)


@dataclass
class Form:
    json: Any = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    structural_tag: str | None = None


@dataclass
class Sampling:
    min_tokens: int = 0
    stop_token_ids: list[int] = field(default_factory=list)
    allowed_token_ids: list[int] | None = None
    bad_words: list[str] = field(default_factory=list)


def properties(count: int) -> dict[str, Any]:
    return {"properties": {f"p{number}": {"type": "string"} for number in range(count)}}


@pytest.mark.parametrize(
    "form",
    [
        Form(json={}),
        Form(json="no JSON, which vLLM says"),
        Form(json=properties(PROPERTIES)),
        Form(regex="a" * SPEC_CHARS),
        Form(choice=["yes", "no"]),
        Form(json={"maxItems": ITEMS, "minItems": "no number"}),
        Form(structural_tag="{}"),
        Form(),
    ],
    ids=str,
)
def test_usual_forms_are_tried(form: Form) -> None:
    assert too_large(form) is None


@pytest.mark.parametrize(
    ("form", "word"),
    [
        (Form(json=properties(PROPERTIES + 1)), "properties"),
        (Form(json={"anyOf": [properties(PROPERTIES // 2)] * 3}), "properties"),
        (Form(json={"maxItems": 2**63}), "items"),
        (Form(json='{"minItems": 1e9}'), "items"),
        (Form(json={"items": {"maxItems": 60_000}, "maxItems": 60_000}), "items"),
        (Form(structural_tag='{"structures": [{"schema": {"maxItems": 1000000}}]}'), "items"),
        (Form(regex="a" * (SPEC_CHARS + 1)), "characters"),
        (Form(grammar="a" * (SPEC_CHARS + 1)), "characters"),
        (Form(choice=["a" * 100] * 1000), "characters"),
        (Form(json={"const": "a" * SPEC_CHARS}), "characters"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_too_large_is_refused_by_its_size(form: Form, word: str) -> None:
    assert word in (too_large(form) or "")


def refers(to: object, **beside: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"$ref": to}}} | beside


def tag(schema: dict[str, Any]) -> str:
    return json.dumps({"format": {"tags": [{"content": {"json_schema": schema}}]}})


@pytest.mark.parametrize(
    ("form", "reference"),
    [
        (Form(json=refers("#/$defs/none")), "#/$defs/none"),
        (Form(json=refers("#/$defs/x/y", **{"$defs": {"x": {}}})), "#/$defs/x/y"),
        (Form(json=refers("#/anyOf/2", anyOf=[{}, {}])), "#/anyOf/2"),
        (Form(json=json.dumps(refers("#/none"))), "#/none"),
        (Form(structural_tag=tag(refers("#/none"))), "#/none"),
        (Form(json=refers("#")), None),
        (Form(json=refers("#/$defs/x", **{"$defs": {"x": {}}})), None),
        (Form(structural_tag=tag(refers("#/$defs/x", **{"$defs": {"x": {}}}))), None),
        (Form(json=refers("#/anyOf/1", anyOf=[{}, {}])), None),
        (Form(json=refers("#/a~1b/c~0d/e%20f", **{"a/b": {"c~d": {"e f": {}}}})), None),
        (Form(json=refers("#anchor")), None),
        (Form(json=refers("other.json")), None),
        (Form(json=refers({"type": "string"})), None),
        (Form(json={"const": {"$ref": "#/none"}}), None),
        (Form(json="no JSON"), None),
        (Form(regex="#/none"), None),
    ],
    ids=str,
)
def test_a_reference_that_leads_nowhere_is_named(form: Form, reference: str | None) -> None:
    said = missing_reference(form)
    assert said is None if reference is None else f" {reference}," in (said or "")


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (Sampling(min_tokens=1), "min_tokens"),
        (Sampling(allowed_token_ids=[1]), "allowed_token_ids"),
        (Sampling(bad_words=["a"]), "bad_words"),
        (Sampling(stop_token_ids=[2, 7]), "stop_token_ids"),
    ],
    ids=str,
)
def test_a_parameter_that_may_forbid_what_the_form_requires_is_named(
    params: Sampling, name: str
) -> None:
    assert (contradiction(params, special={2}) or "").startswith(name)


def test_a_special_token_may_stop_a_form() -> None:
    assert contradiction(Sampling(stop_token_ids=[2]), special={2}) is None
