"""Bodies as clients send them, made what vLLM takes: nulls, and answers that are sent back."""

from typing import Any

# What null means where it is not the same as leaving the field out: vLLM's "to the end of the
# context", while the field's default is 16.
_NULL_HAS_A_MEANING = {("/v1/completions", "max_tokens")}
_RESPONSES = "/v1/responses"


def complete(body: dict[str, Any], route: str) -> bool:
    """Changes `body` in place; True when there was anything to change."""
    changed = _drop_nulls(body, route)
    items = body.get("input")
    if route == _RESPONSES and isinstance(items, list):
        changed |= _without_nulls(items)
        for item in items:
            changed |= isinstance(item, dict) and _typed(item)
    return changed


def _drop_nulls(body: dict[str, Any], route: str) -> bool:
    """Takes fields that are null out.

    SDKs dump objects with every field that was not set as null, and in the APIs null is the
    default. Not so in vLLM: some fields refuse it, and `truncation: null` truncates.
    """
    nulls = [
        name
        for name, value in body.items()
        if value is None and (route, name) not in _NULL_HAS_A_MEANING
    ]
    for name in nulls:
        del body[name]
    return bool(nulls)


def _without_nulls(items: list[Any]) -> bool:
    """The same at every depth of replayed items, whose optional fields vLLM takes as text alone."""
    changed, level = False, list(items)
    while level:
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                nulls = [name for name, of in value.items() if of is None]
                for name in nulls:
                    del value[name]
                changed |= bool(nulls)
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = inner
    return changed


def _typed(item: dict[str, Any]) -> bool:
    """An item with a role is a message, also where it does not say so, as OpenAI's API has it."""
    if "type" in item or "role" not in item:
        return False
    item["type"] = "message"
    return True
