"""A streamed answer, line by line: when its tokens came, how many, how it ended. Pure.

Times are the caller's, at which each line was read. Only what must be understood is parsed: the
events up to the first token, the last of them, and the one with the usage. All between are told
by their bytes, which keeps a token at some microseconds instead of tens.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_EVENT = b"data:"
_DONE = b"data: [DONE]"
# A token's event, compact or spaced. Inside a text the quotation marks are escaped: no mix-up.
_TOKEN = (b'"choices":[{', b'"choices": [{')
# What counts as the first token: anything a user or a program sees of the answer.
_TEXTS = ("content", "reasoning", "reasoning_content", "tool_calls")


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one answer; instants as told to the reader, None = not come.

    `gaps_s` = times between the events that bring tokens. `output_tokens` is the server's own
    count, or, where no usage came, the number of those events. `complete` = the stream ended as
    its protocol says.
    """

    first_at_s: float | None
    last_at_s: float | None
    gaps_s: Sequence[float]
    output_tokens: int
    prompt_tokens: int | None
    cached_tokens: int | None
    finish: str | None
    error: str | None
    complete: bool


class AnswerReader:
    """Reads one stream of `/v1/chat/completions` or `/v1/completions`."""

    __slots__ = ("_done", "_error", "_first_at_s", "_gaps", "_last_at_s", "_latest", "_usage")

    def __init__(self) -> None:
        self._first_at_s: float | None = None
        self._last_at_s: float = 0.0
        self._gaps: list[float] = []
        self._latest = b""
        self._usage: Mapping[str, Any] | None = None
        self._error: str | None = None
        self._done = False

    @property
    def token_events(self) -> int:
        """Events with tokens so far; vLLM sends one per token."""
        return 0 if self._first_at_s is None else len(self._gaps) + 1

    def read(self, line: bytes, at_s: float) -> None:
        """One line of the stream, read at `at_s`; ValueError where it is no valid event."""
        if self._first_at_s is not None and (_TOKEN[0] in line or _TOKEN[1] in line):
            self._gaps.append(at_s - self._last_at_s)
            self._last_at_s = at_s
            self._latest = line
        elif line.startswith(_EVENT):
            self._read_event(line, at_s)

    def heard(self) -> Heard:
        """What came until now."""
        latest = json.loads(self._latest[len(_EVENT) :]) if self._latest else {}
        finish = _finish(latest)
        usage = self._usage or latest.get("usage") or {}
        begun = self._first_at_s is not None
        return Heard(
            first_at_s=self._first_at_s,
            last_at_s=self._last_at_s if begun else None,
            gaps_s=self._gaps,
            output_tokens=usage.get("completion_tokens", self.token_events),
            prompt_tokens=usage.get("prompt_tokens"),
            cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            finish=finish,
            error=self._error,
            complete=self._error is None and (self._done or finish is not None),
        )

    def _read_event(self, line: bytes, at_s: float) -> None:
        if line.startswith(_DONE):
            self._done = True
            return
        event = json.loads(line[len(_EVENT) :])
        if "error" in event:
            self._error = _message(event["error"])
        self._usage = event.get("usage") or self._usage
        if _has_token(event):
            self._first_at_s = self._last_at_s = at_s
            self._latest = line


def _has_token(event: Mapping[str, Any]) -> bool:
    """Whether text came, or the end of an answer that has none."""
    for choice in event.get("choices", ()):
        delta = choice.get("delta") or {}
        if choice.get("text") or any(delta.get(name) for name in _TEXTS):
            return True
        if choice.get("finish_reason"):
            return True
    return False


def _finish(event: Mapping[str, Any]) -> str | None:
    reasons = (choice.get("finish_reason") for choice in event.get("choices", ()))
    return next((str(reason) for reason in reasons if reason), None)


def _message(error: object) -> str:
    if isinstance(error, Mapping):
        return str(error.get("code") or error.get("type") or error.get("message"))
    return str(error)
