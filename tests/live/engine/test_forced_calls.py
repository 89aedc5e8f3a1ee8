"""Forced tool calls: what vLLM's parser is brought to ask of the engine; no engine runs.

What comes of it on a model is in `test_openai_tools.py` and `test_clients.py`.
"""

import json
from typing import Any

import pytest

from serve.embedded.model import prepare
from tests.live.clients import MODEL

# torch and vLLM warn while they are imported, which happens inside the tests: it takes seconds
pytestmark = pytest.mark.filterwarnings("ignore")

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORECAST = {"name": "forecast", "parameters": CITY}
NAMED = {"type": "function", "function": {"name": "forecast"}}
ANY_OBJECT = {"type": "object"}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(scope="module")
def parser() -> Any:
    """The parser class of the default profile, before it is wrapped."""
    from transformers import AutoTokenizer  # noqa: PLC0415
    from vllm.parser.parser_manager import ParserManager  # noqa: PLC0415

    tokenizer = AutoTokenizer.from_pretrained(prepare(MODEL, progress=str))
    found = ParserManager.get_parser(tool_parser_name="hermes", enable_auto_tools=True)
    return found, tokenizer


def contents(parser: Any, request: Any, *, held: bool = True) -> list[Any]:
    """The parts of the form that hold the arguments; empty without a form."""
    from serve.engine.forced_calls import _arguments, holding  # noqa: PLC0415

    found, tokenizer = parser
    used = holding(found) if held else found
    form = used(tokenizer, request.tools).adjust_request(request).structured_outputs
    if form is None or form.structural_tag is None:
        return []
    return list(_arguments(json.loads(form.structural_tag)))


def chat(choice: Any, *functions: Any, **fields: Any) -> Any:
    from vllm.entrypoints.openai.chat_completion.protocol import (  # noqa: PLC0415
        ChatCompletionRequest,
    )

    tools = [{"type": "function", "function": each} for each in functions or (FORECAST,)]
    return ChatCompletionRequest(**CHAT, tools=tools, tool_choice=choice, **fields)


def responses(choice: Any) -> Any:
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest  # noqa: PLC0415

    tools = [{"type": "function", **FORECAST}]
    return ResponsesRequest(input="x", tools=tools, tool_choice=choice)


def schemas(parser: Any, request: Any, *, held: bool = True) -> list[Any]:
    """What the arguments of each call are held to, each schema once."""
    found = [content["json_schema"] for content in contents(parser, request, held=held)]
    return [schema for index, schema in enumerate(found) if schema not in found[:index]]


def test_vllm_alone_holds_a_forced_call_to_its_envelope(parser: Any) -> None:
    assert schemas(parser, chat("required"), held=False) == [True], (
        "vLLM holds forced calls to their schemas by itself: drop serve/engine/forced_calls.py"
    )


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
@pytest.mark.parametrize(
    "said", [{}, {"strict": None}, {"strict": False}, {"strict": True}], ids=str
)
def test_a_forced_call_keeps_to_its_schema_whatever_the_tool_says(
    parser: Any, choice: Any, said: Any
) -> None:
    assert schemas(parser, chat(choice, FORECAST | said)) == [CITY]


def test_a_forced_call_on_responses_keeps_to_its_schema(parser: Any) -> None:
    assert schemas(parser, responses("required")) == [CITY]
    assert schemas(parser, responses({"type": "function", "name": "forecast"})) == [CITY]


@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_a_call_that_may_be_made_is_left_as_vllm_has_it(parser: Any, choice: Any) -> None:
    assert schemas(parser, chat(choice)) == schemas(parser, chat(choice), held=False) == []


@pytest.mark.parametrize(
    "given",
    [{}, {"parameters": None}, {"parameters": {}}],
    ids=str,
)
def test_a_tool_without_parameters_is_called_without_arguments(parser: Any, given: Any) -> None:
    nothing = {"type": "object", "properties": {}}
    assert schemas(parser, chat("required", {"name": "now"} | given)) == [nothing]


@pytest.mark.parametrize(
    "schema", [{"properties": CITY["properties"]}, {"description": "x"}, {"$defs": {}}], ids=str
)
def test_a_schema_that_names_no_type_is_an_object_s(parser: Any, schema: Any) -> None:
    assert schemas(parser, chat("required", {"name": "f", "parameters": schema})) == [
        schema | ANY_OBJECT
    ]


@pytest.mark.parametrize(
    "given", [{"$ref": "#/$defs/a", "$defs": {"a": CITY}}, {"anyOf": [CITY]}], ids=str
)
def test_a_schema_that_says_what_it_is_stays_as_it_is(parser: Any, given: Any) -> None:
    assert schemas(parser, chat("required", {"name": "f", "parameters": given})) == [given]


def test_blanks_between_arguments_are_few(parser: Any) -> None:
    from serve.engine.forced_calls import BLANKS  # noqa: PLC0415

    found = contents(parser, chat("required"))
    assert {content["max_whitespace_cnt"] for content in found} == {BLANKS}


def test_schemas_that_are_too_much_to_compile_leave_any_object(parser: Any) -> None:
    long = CITY | {"description": "x" * 40_000}  # vLLM's form of a call has each schema twice
    many = [{"name": f"f{index}", "parameters": long} for index in range(2)]
    assert schemas(parser, chat("required", *many)) == [ANY_OBJECT]
    assert schemas(parser, chat("required", *many[:1])) == [ANY_OBJECT]


def test_a_schema_that_looks_like_a_form_is_not_looked_into(parser: Any) -> None:
    odd = {"type": "object", "properties": {"type": {"enum": ["json_schema"]}, "json_schema": True}}
    assert schemas(parser, chat("required", {"name": "f", "parameters": odd})) == [odd]


def test_a_form_of_the_caller_s_own_stays_as_it_is(parser: Any) -> None:
    from vllm.parser.parser_manager import ParserManager  # noqa: PLC0415

    own = {"type": "tag", "begin": "", "content": {"type": "json_schema", "json_schema": True}}
    form = {"structural_tag": json.dumps({"type": "structural_tag", "format": own | {"end": ""}})}
    _, tokenizer = parser
    without_a_form = ParserManager.get_parser(tool_parser_name="xlam", enable_auto_tools=True)
    request = chat("required", structured_outputs=form)
    assert schemas((without_a_form, tokenizer), request) == [True]


def test_what_is_wrapped_is_where_it_was(parser: Any) -> None:
    import inspect  # noqa: PLC0415

    from vllm.renderers.online_renderer import OnlineRenderer  # noqa: PLC0415

    assert "self.parser" in inspect.getsource(OnlineRenderer.__init__), "wrapped on the instance"
    found, _ = parser
    assert "self.tool_strict_level" in inspect.getsource(found._apply_structural_tag)
