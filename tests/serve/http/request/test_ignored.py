"""Fields that vLLM passes over and that would have changed the answer's form."""

from typing import Any

import pytest

from serve.http.request.ignored import FORMS, ignored
from tests.fakes import house

CHAT, COMPLETIONS, RESPONSES, MESSAGES = FORMS
SCHEMA = {"type": "object"}


@pytest.mark.parametrize("route", FORMS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "field",
    [
        {"guided_json": SCHEMA},
        {"guided_json": '{"type": "object"}'},
        {"guided_choice": ["a", "b"]},
        {"guided_regex": "[ab]"},
        {"guided_grammar": "root ::= x"},
        {"guided_decoding_backend": "outlines"},
        {"guided_whitespace_pattern": " "},
        {"guided_decoding": {"json": SCHEMA}},
        {"structural_tag": "{}"},
        {"grammar": "root ::= x"},
        {"json_schema": SCHEMA},
        {"regex": "[ab]"},
        {"ebnf": "root ::= x"},
        {"format": "json"},
        {"extra_body": {"guided_json": SCHEMA}},
    ],
    ids=lambda field: next(iter(field)),
)
async def test_a_form_that_would_be_ignored_is_a_400_that_names_what_works(
    route: str, field: dict[str, Any], stream: bool
) -> None:
    at = house()
    done = await at.ask(route, {"model": "m", "stream": stream, **field})
    assert done.status == 400
    assert done.answer_headers["x-sluice-reason"] == "unsupported"
    message = done.answer_json["error"]["message"]
    assert next(iter(field)) in message
    assert ("output_config.format" if route == MESSAGES else "structured_outputs") in message
    assert at.app.scopes == []


@pytest.mark.parametrize(
    ("route", "field", "instead"),
    [
        (RESPONSES, {"response_format": {"type": "json_object"}}, "text.format"),
        (MESSAGES, {"response_format": {"type": "json_object"}}, "output_config.format"),
        (MESSAGES, {"structured_outputs": {"json": SCHEMA}}, "output_config.format"),
        (CHAT, {"text": {"format": {"type": "json_schema"}}}, "response_format"),
        (CHAT, {"output_config": {"format": {"type": "json_schema"}}}, "response_format"),
        (CHAT, {"functions": [{"name": "f"}]}, "`tools`"),
        (CHAT, {"function_call": {"name": "f"}}, "`tool_choice`"),
        (CHAT, {"extra_body": {"structured_outputs": {"choice": ["a"]}}}, "structured_outputs"),
    ],
)
def test_a_field_of_another_route_or_time_is_told(
    route: str, field: dict[str, Any], instead: str
) -> None:
    refused = ignored(field, route)
    assert refused is not None
    assert instead in refused.message
    assert refused.param is not None


@pytest.mark.parametrize("route", FORMS)
@pytest.mark.parametrize(
    "field",
    [
        {},
        {"guided_json": None},
        {"guided_choice": []},
        {"grammar": ""},
        {"functions": []},
        {"function_call": "none"},
        {"function_call": "auto"},
        {"response_format": {"type": "text"}},
        {"text": {"format": {"type": "text"}}},
        {"text": {"verbosity": "low"}},
        {"text": "plain"},
        {"output_config": {"effort": "low"}},
        {"extra_body": {"top_k": 3}},
        {"extra_body": "x"},
        {"metadata": {"guided_json": "no"}},
    ],
)
def test_what_asks_for_no_form_passes(route: str, field: dict[str, Any]) -> None:
    assert ignored(field, route) is None


@pytest.mark.parametrize(
    ("route", "field"),
    [
        (CHAT, "response_format"),
        (CHAT, "structured_outputs"),
        (CHAT, "tools"),
        (COMPLETIONS, "response_format"),
        (RESPONSES, "text"),
        (RESPONSES, "structured_outputs"),
        (MESSAGES, "output_config"),
    ],
)
def test_what_works_passes(route: str, field: str) -> None:
    assert ignored({field: {"format": {"type": "json_schema"}, "json": SCHEMA}}, route) is None


async def test_explain_refuses_it_too() -> None:
    body = {"model": "m", "prompt": "x", "guided_choice": ["a"]}
    done = await house().ask("/v1/admission/explain", body)
    assert (done.status, done.answer_json["error"]["param"]) == (400, "guided_choice")
