"""Adapts bodies to vLLM: null fields, and earlier answers that clients send back as history."""

from typing import Any

# Where null differs from leaving the field out: null means "to the end of the context", while
# the default is 16.
_NULL_HAS_A_MEANING = {("/v1/completions", "max_tokens")}
_RESPONSES = "/v1/responses"


def complete(body: dict[str, Any], route: str) -> bool:
    """Changes `body` in place; True if anything changed."""
    changed = _drop_nulls(body, route)
    items = body.get("input")
    if route == _RESPONSES and isinstance(items, list):
        changed |= _without_nulls(items)
        for item in items:
            changed |= isinstance(item, dict) and _typed(item)
    return changed


def _drop_nulls(body: dict[str, Any], route: str) -> bool:
    """Removes fields that are null.

    SDKs send unset fields as null, which the APIs define as the default. vLLM differs: some fields
    reject null, and `truncation: null` truncates.
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
    """The same at every depth of replayed items: vLLM takes only text in optional fields."""
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
    """Adds `type: message` to an item with a role, as OpenAI's API implies it."""
    if "type" in item or "role" not in item:
        return False
    item["type"] = "message"
    return True
