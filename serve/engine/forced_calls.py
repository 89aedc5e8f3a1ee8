"""Makes tool calls that a caller forces (`required`, a named function) follow the tool's schema.

By default vLLM 0.32 constrains only the envelope of a forced call: its arguments may be any JSON
value, even a string or a list. `tool_strict_level: parameter` constrains the arguments, but of
optional calls (`auto`) as well: each such request would wait until its tools' schemas are compiled,
which may take seconds, and would fail with a schema that does not compile. Here the level applies
to forced calls alone; the argument still sets it for all.
"""

import json
from collections.abc import Iterator
from typing import Any

from starlette.datastructures import State
from vllm.sampling_params import StructuredOutputsParams
from vllm.tool_parsers.tool_strict_level import ToolStrictLevel

from serve.engine.grammar_limits import too_large

BLANKS = 16  # in a row, outside strings: an indentation, but no blanks until max_tokens
_NOT_FORCED = (None, "none", "auto")
_ANY_OBJECT = {"type": "object"}
_NO_ARGUMENTS = {"type": "object", "properties": {}}  # as OpenAI reads a tool without parameters
_SAY_WHAT = {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}


def hold_forced_calls(state: State) -> None:
    """Wraps the parser that adjusts the requests of all routes before sampling."""
    renderer = state.online_renderer
    if renderer.parser is not None:
        renderer.parser = holding(renderer.parser)


def holding(parser: Any) -> Any:
    """The parser class, with forced calls that follow their schemas."""

    class Holding(parser):
        def adjust_request(self, request: Any) -> Any:
            if request.tool_choice in _NOT_FORCED:
                return super().adjust_request(request)
            asked = request.structured_outputs
            self.tool_strict_level = ToolStrictLevel.PARAMETER
            adjusted = super().adjust_request(request)
            form = adjusted.structured_outputs
            made = form is not None and form is not asked  # a form of the caller's is kept
            if made and form.structural_tag is not None:
                adjusted.structured_outputs = tightened(form)
            return adjusted

    return Holding


def tightened(form: StructuredOutputsParams) -> StructuredOutputsParams:
    """A structural tag whose arguments are objects, with few blanks between their parts.

    They may be any objects if the schemas of all tools are too large to compile.
    """
    tag = json.loads(form.structural_tag)
    for content in _arguments(tag):
        content["max_whitespace_cnt"] = BLANKS
        content["json_schema"] = _as_object(content["json_schema"])
    if too_large(_of(tag)) is not None:
        for content in _arguments(tag):
            content["json_schema"] = _ANY_OBJECT
    return _of(tag)


def _as_object(schema: Any) -> dict[str, Any]:
    """A schema that does not say what its values are admits any; arguments are an object."""
    if schema in (True, {}):
        return _NO_ARGUMENTS
    given: dict[str, Any] = schema
    return given if _SAY_WHAT & given.keys() else given | _ANY_OBJECT


def _of(tag: Any) -> StructuredOutputsParams:
    return StructuredOutputsParams(structural_tag=json.dumps(tag))


def _arguments(format_: Any) -> Iterator[dict[str, Any]]:
    """The parts of a structural tag that hold a call's arguments; schemas are not looked into."""
    if isinstance(format_, list):
        for each in format_:
            yield from _arguments(each)
    elif isinstance(format_, dict):
        if format_.get("type") == "json_schema":
            yield format_
        else:
            for each in format_.values():
                yield from _arguments(each)
