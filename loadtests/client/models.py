"""Which model of an endpoint is tested: a list of any shape in use, and a choice from it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.client.chunk import count

_NAMES = ("id", "name", "model")
_CONTEXTS = ("max_model_len", "context_length", "context_window", "max_context_length")
_SHOWN_MOST = 10


def listed(answer: object) -> list[Mapping[str, Any]]:
    """The entries of `/v1/models`: in `data`, in `models`, or the answer itself."""
    if isinstance(answer, Mapping):
        answer = answer.get("data") or answer.get("models")
    entries = answer if isinstance(answer, list) else []
    found = [{"id": each} if isinstance(each, str) else each for each in entries]
    return [each for each in found if isinstance(each, Mapping) and name_of(each)]


def name_of(entry: Mapping[str, Any]) -> str:
    """What requests call it; empty where it has no name."""
    return next((str(entry[name]) for name in _NAMES if entry.get(name)), "")


def context_of(entry: Mapping[str, Any]) -> int | None:
    """Tokens of a prompt and its answer; None where it is not told."""
    meta = entry.get("meta")
    told = [entry.get(name) for name in _CONTEXTS]
    told.append(meta.get("n_ctx") if isinstance(meta, Mapping) else None)  # llama.cpp
    return next((tokens for each in told if (tokens := count(each))), None)


def chosen(entries: Sequence[Mapping[str, Any]], wanted: str | None) -> Mapping[str, Any] | None:
    """The one that is wanted, or the only one; None where it is not listed, or nothing is.

    Adapters (of a `parent` in the list) and other names of one model (`root`) are no others.
    ValueError where there are several.
    """
    if wanted is not None:
        return next((each for each in entries if name_of(each) == wanted), None)
    names = {name_of(each) for each in entries}
    own = [each for each in entries if each.get("parent") not in names]
    if len({each.get("root") or name_of(each) for each in own}) > 1:
        shown = ", ".join(name_of(each) for each in entries[:_SHOWN_MOST])
        more = len(entries) - _SHOWN_MOST
        raise ValueError(
            f"there are several models, say which with --model: {shown}"
            + (f" and {more} more" if more > 0 else "")
        )
    return own[0] if own else None
