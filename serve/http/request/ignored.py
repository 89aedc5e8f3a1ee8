"""Refuses fields that ask for structured output and that vLLM silently ignores.

They belong to older releases of vLLM, to other servers or to other routes. Free text in place of
the JSON that was asked for is worse than a refusal that names the right field.
"""

from typing import Any

from admission.terms import refusals
from admission.terms.decision import Rejected

_CHAT, _COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_RESPONSES, _MESSAGES = "/v1/responses", "/v1/messages"

_FORMS = {
    _CHAT: "`structured_outputs` or `response_format`",
    _COMPLETIONS: "`structured_outputs` or `response_format`",
    _RESPONSES: "`structured_outputs` or `text.format`",
    _MESSAGES: "`output_config.format`",
}
# Names in older vLLM, SGLang, llama.cpp, TGI and Ollama.
_OLD = ("guided_json", "guided_choice", "guided_regex", "guided_grammar")
_OLD_BESIDE = ("guided_decoding_backend", "guided_whitespace_pattern", "guided_decoding")
_OTHERS = ("structural_tag", "grammar", "json_schema", "regex", "ebnf", "format")
_EVERYWHERE = (*_OLD, *_OLD_BESIDE, *_OTHERS)
# Fields of one route that another one ignores.
_OF_OTHER_ROUTES = {
    _CHAT: ("text", "output_config"),
    _COMPLETIONS: ("text", "output_config"),
    _RESPONSES: ("response_format", "output_config"),
    _MESSAGES: ("response_format", "structured_outputs", "text"),
}
FORMS: dict[str, tuple[str, ...]] = {
    route: (*_EVERYWHERE, *others) for route, others in _OF_OTHER_ROUTES.items()
}
# OpenAI's names before there were tools.
_TOOLS = {"functions": "tools", "function_call": "tool_choice"}
_OF_PYTHON = "extra_body"  # OpenAI's SDK spreads it over the body; others send it as it is
# A quick test: most bodies have none of these.
_WORTH_A_LOOK = frozenset().union(*FORMS.values(), _TOOLS, [_OF_PYTHON])


def ignored(body: dict[str, Any], route: str) -> Rejected | None:
    """The refusal of a body that asks for a form which vLLM would ignore; None if there is none."""
    if _WORTH_A_LOOK.isdisjoint(body):
        return None
    named = _named(body, route)
    if named is not None:
        return _refusal(named, _instead(named, route))
    extra = body.get(_OF_PYTHON)
    if not isinstance(extra, dict):
        return None
    named = "structured_outputs" if "structured_outputs" in extra else _named(extra, route)
    return None if named is None else _refusal(f"{_OF_PYTHON}.{named}", _instead(named, route))


def _named(fields: dict[str, Any], route: str) -> str | None:
    """The first field that asks for a form which the route ignores."""
    names = (*FORMS.get(route, ()), *(_TOOLS if route == _CHAT else ()))
    return next((name for name in names if name in fields and _asks(fields, name)), None)


def _instead(name: str, route: str) -> str:
    return f"`{_TOOLS[name]}`" if name in _TOOLS else _FORMS[route]


def _asks(fields: dict[str, Any], name: str) -> bool:
    """False for values without effect: null, empty, or the plain-text form."""
    value = fields.get(name)
    if name == "text" and isinstance(value, dict):
        form = value.get("format")
        return isinstance(form, dict) and form.get("type") != "text"
    if name == "output_config" and isinstance(value, dict):
        return bool(value.get("format"))
    if name == "response_format" and isinstance(value, dict):
        return value.get("type") != "text"
    if name in ("text", "function_call") and isinstance(value, str):
        return name == "function_call" and value not in ("none", "auto")
    return bool(value)


def _refusal(name: str, instead: str) -> Rejected:
    message = f"`{name}` has no effect here; use {instead} in its place."
    return refusals.unsupported(message, param=name)
