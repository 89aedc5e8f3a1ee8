"""Reads a file of prompts: JSON Lines, a JSON array, or plain lines of text.

Each entry is one of

- a string: a user's message;
- `{"prompt": text or token ids}`, or `{"messages": [...]}`, with any other field of the request,
  e.g. `tools`, `max_tokens`, `temperature`; also inside `{"body": {...}}`, as in batch files;
- a conversation: `{"turns": [text or messages, ...]}`, or `{"conversations": [{"from", "value"},
  ...]}` as in ShareGPT, or `messages` that end with an answer, as in training files.

`output_tokens` sets the length of the answer for engines that accept it. The whole file is checked
before any request is sent.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.asking.given import Given, Message, Turn, tokens_of

_SHOWN_MOST = 5  # errors in one message
_OURS = ("model", "stream", "stream_options")  # set by the run
_NOT_SENT = ("prompt", "messages", "turns", "conversations", "output_tokens", "system", "id")
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant"} | {
    name: name for name in ("assistant", "system", "developer", "tool", "function")
}
_FORMS = "a string, or an object with prompt, messages, turns or conversations"


def read_prompts(path: Path) -> list[Given]:
    """All entries; ValueError names the file, and line and fault of the first bad entries."""
    found: list[Given] = []
    faults: list[str] = []
    for line, value in _values(path):
        try:
            found.append(_entry(f"{path}:{line}", line, value))
        except ValueError as problem:
            faults.append(f"{path}:{line}: {problem}")
    if faults:
        more = len(faults) - _SHOWN_MOST
        shown = faults[:_SHOWN_MOST] + ([f"and {more} more like these"] if more > 0 else [])
        raise ValueError("\n".join(shown))
    if not found:
        raise ValueError(f"{path}: no prompt in it")
    return found


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path}: not text (UTF-8)") from problem
    except (OSError, EOFError, zlib.error) as problem:
        raise ValueError(f"{path}: {getattr(problem, 'strerror', None) or problem}") from problem


class _Bad:
    """A line that is not JSON."""

    def __init__(self, why: str) -> None:
        self.why = why


def _values(path: Path) -> Iterator[tuple[int, Any]]:
    """Line and value of each entry; in an array the number of the entry instead of the line."""
    text = _text(path)
    if ".txt" in path.suffixes:
        yield from ((n, line) for n, line in _lines(text))
        return
    if text.lstrip().startswith("[") and isinstance(whole := _json(text), list):
        is_chat = bool(whole) and all(isinstance(e, Mapping) and "role" in e for e in whole)
        yield from [(1, {"messages": whole})] if is_chat else enumerate(whole, start=1)
        return
    yield from ((n, _json(line)) for n, line in _lines(text))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines, split only at newlines: JSON may contain Unicode's other line ends."""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.strip():
            yield number, line


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        return _Bad(f"not JSON: {problem}")


def _entry(place: str, line: int, value: object) -> Given:
    """The entry of one value; ValueError names the fault."""
    if isinstance(value, _Bad):
        raise ValueError(value.why)
    return _given(place, line, _request(value))


def _request(value: object) -> Mapping[str, Any]:
    """The fields of a request, from any of the short forms."""
    if isinstance(value, str):
        return {"prompt": value}
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return {"messages": value}
    if not isinstance(value, Mapping):
        raise ValueError(f"{type(value).__name__} is no prompt: give {_FORMS}")
    body = value.get("body")
    return body if isinstance(body, Mapping) else value


def _given(place: str, line: int, value: Mapping[str, Any]) -> Given:
    kinds = [name for name in _READERS if value.get(name) is not None]
    if len(kinds) != 1:
        said = f"has both {' and '.join(kinds)}" if kinds else "has no prompt"
        raise ValueError(f"{said}: give {_FORMS}")
    fields = {
        name: each
        for name, each in value.items()
        if name not in (*_OURS, *_NOT_SENT) and each is not None
    }
    _check_fields(fields)
    output_tokens = _positive(value, "output_tokens")
    if kinds == ["prompt"]:
        return Given(place, line, (), fields, _prompt(value["prompt"]), output_tokens)
    turns = _READERS[kinds[0]](value)
    return Given(place, line, turns, fields, None, output_tokens)


def _check_fields(fields: Mapping[str, Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens", "n"):
        _positive(fields, name)
    if not isinstance(fields.get("tools", []), list):
        raise ValueError("tools must be a list")


def _positive(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ValueError(f"{name} {found!r} is not a number of at least 1")
    return found


def _prompt(prompt: object) -> str | tuple[int, ...]:
    if isinstance(prompt, str) and prompt:
        return prompt
    is_id = [isinstance(each, int) and not isinstance(each, bool) for each in _listed(prompt)]
    if not is_id or not all(is_id):
        raise ValueError("prompt must be a text or a list of token ids, and not empty")
    return tuple(_listed(prompt))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _from_messages(value: Mapping[str, Any]) -> tuple[Turn, ...]:
    """One request, or a conversation to replay if the last message is an answer."""
    messages = [_message(each) for each in _listed(value["messages"])]
    if not messages:
        raise ValueError("messages must be a list with a message in it")
    if messages[-1]["role"] != "assistant":
        return (Turn(tuple(messages)),)
    return _split(messages)


def _from_conversations(value: Mapping[str, Any]) -> tuple[Turn, ...]:
    messages = []
    for each in _listed(value["conversations"]):
        if not isinstance(each, Mapping):
            raise ValueError("conversations must be a list of objects")
        role = _ROLES.get(str(each.get("from", each.get("role"))).lower())
        if role is None:
            raise ValueError(f"no role {each.get('from', each.get('role'))!r} is known")
        messages.append(_message({"role": role, "content": each.get("value", each.get("content"))}))
    if isinstance(system := value.get("system"), str) and system:
        messages.insert(0, {"role": "system", "content": system})
    while messages and messages[0]["role"] == "assistant":
        messages.pop(0)  # some begin with an answer without a question
    return _split(messages)


def _from_turns(value: Mapping[str, Any]) -> tuple[Turn, ...]:
    turns = []
    for each in _listed(value["turns"]):
        said = [{"role": "user", "content": each}] if isinstance(each, str) else each
        turns.append(Turn(tuple(map(_message, [said] if isinstance(said, Mapping) else said))))
    if not turns or not all(turn.messages for turn in turns):
        raise ValueError("turns must be a list of texts, messages or lists of messages")
    if isinstance(system := value.get("system"), str) and system:
        first = ({"role": "system", "content": system}, *turns[0].messages)
        turns[0] = Turn(first)
    return tuple(turns)


def _split(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """The turns of a conversation; each answer ends a turn."""
    turns: list[Turn] = []
    said: list[Message] = []
    for message in messages:
        if message["role"] != "assistant":
            said.append(message)
        elif said:
            content = message.get("content")
            size = tokens_of(content) if isinstance(content, str) and content else None
            turns.append(Turn(tuple(said), message, size))
            said = []
    if said:
        turns.append(Turn(tuple(said)))
    if not turns or not any(m["role"] == "user" for turn in turns for m in turn.messages):
        raise ValueError("this conversation has no user message")
    return tuple(turns)


def _message(value: object) -> Message:
    if not isinstance(value, Mapping) or not isinstance(value.get("role"), str):
        raise ValueError("a message must be an object with a role")
    content = value.get("content")
    if content is not None and not isinstance(content, str | list):
        raise ValueError(f"content of a message must be a text or a list, not {content!r}")
    if content is None and value["role"] in ("user", "system", "developer"):
        raise ValueError(f"a message of {value['role']} needs content")
    return value


_READERS: Mapping[str, Callable[[Mapping[str, Any]], tuple[Turn, ...]]] = {
    "prompt": lambda _: (),
    "messages": _from_messages,
    "turns": _from_turns,
    "conversations": _from_conversations,
}
