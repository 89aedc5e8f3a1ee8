"""A streamed answer as it comes: when its tokens came, how many, how it ended. Pure.

Times are the caller's, at which each block was read. JSON costs tens of microseconds a token, so
an event is parsed only if it differs from one that was parsed before in more than its text: the
bytes before and after the text are learned from the last token, and a line between them is one
more. Whatever else a server sends is parsed, and nothing that it sends makes the reader raise.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from loadtests.client import chunk, sse
from loadtests.client.chunk import Fault
from loadtests.client.usage import Tally

_DONE = b"[DONE]"
_STRAY_MOST = 65_536  # bytes kept of a body that is no stream
_ERROR = b"error"  # an event's name
_QUOTE, _BACKSLASH = b'"', 92


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one answer; instants as told to the reader, None = not come.

    `gaps_s` = times between the events that bring tokens. `output_tokens` is the server's own
    count, or, where `estimated`, the number of those events. `complete` = the stream ended as its
    protocol says, with an answer in it. `said`: the server's words for the `error`. `streamed` is
    False where the answer came whole, so that its first token is its last.
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
    estimated: bool = False
    streamed: bool = True
    said: str | None = None
    text: str = ""  # of the first choice, where it was to be kept


class _Template(NamedTuple):
    """A token's line is `before`, a text, `after`. `is_content`: the text belongs to the answer."""

    before: bytes
    after: bytes
    is_content: bool


class AnswerReader:
    """Reads one answer of `/v1/chat/completions` or `/v1/completions`, in blocks of any size."""

    __slots__ = (
        "_at_s",
        "_bare",
        "_choices",
        "_ended",
        "_fault",
        "_finish",
        "_first_at_s",
        "_framed",
        "_gaps",
        "_has_text",
        "_keeps_text",
        "_last_at_s",
        "_lines",
        "_name",
        "_pending",
        "_stray",
        "_tally",
        "_template",
        "_text",
        "done",
    )

    def __init__(self, *, keep_text: bool = False) -> None:
        self._lines = sse.LineReader()
        self._name = b""
        self._pending: list[bytes] = []
        self._stray = bytearray()
        self._bare = self._framed = False
        self._at_s = 0.0
        self._first_at_s: float | None = None
        self._last_at_s: float = 0.0
        self._gaps: list[float] = []
        self._template: _Template | None = None
        self._has_text = False
        self._keeps_text = keep_text
        self._text: list[str] = []
        self._tally = Tally()
        self._choices: set[int] = set()
        self._ended: set[int] = set()
        self._finish: str | None = None
        self._fault: Fault | None = None
        self.done = False  # `[DONE]` came: nothing more is to come

    @property
    def token_events(self) -> int:
        """Events with tokens so far; vLLM sends one per token."""
        return 0 if self._first_at_s is None else len(self._gaps) + 1

    def read(self, block: bytes, at_s: float) -> None:
        """What came of the body, read at `at_s`."""
        self._at_s = at_s
        for line in self._lines.read(block):
            known = self._template
            if (
                known is not None
                and line.startswith(known.before)
                and line.endswith(known.after)
                and self._read_known(line, known, at_s)
            ):
                continue
            self._read_line(line, at_s)

    def heard(self) -> Heard:
        """What came until now, as if it ended here."""
        self._end()
        counted = self._tally.output(self.token_events)
        fault = self._fault or self._nothing(counted)
        begun = self._first_at_s is not None
        ended = self.done or (bool(self._ended) and self._ended >= self._choices)
        return Heard(
            first_at_s=self._first_at_s,
            last_at_s=self._last_at_s if begun else None,
            gaps_s=self._gaps,
            output_tokens=self.token_events if counted is None else counted,
            prompt_tokens=self._tally.prompt,
            cached_tokens=self._tally.cached,
            finish=self._finish,
            error=fault.code if fault else None,
            complete=fault is None and ended,
            estimated=counted is None and begun,
            streamed=self._framed or not self._bare,
            said=fault.said if fault else self._stray_words(),
            text="".join(self._text),
        )

    def _read_known(self, line: bytes, known: _Template, at_s: float) -> bool:
        """One more token; False where it is not that, as its text is empty or has a quote."""
        begin, end = len(known.before), len(line) - len(known.after)
        if end <= begin or self._pending or self._name == _ERROR:
            return False
        if line.find(_QUOTE, begin, end) >= 0 or line[end - 1] == _BACKSLASH:
            return False
        self._gaps.append(at_s - self._last_at_s)
        self._last_at_s = at_s
        if self._keeps_text and known.is_content:
            self._text.append(_unescaped(line[begin:end]))
        return True

    def _read_line(self, line: bytes, at_s: float) -> None:
        if not line:
            self._dispatch(at_s)
            return
        field = sse.field(line)
        if field is None:
            self._read_stray(line, at_s)
            return
        name, value = field
        if name == b"event":
            self._name = value.strip()
        elif name == b"data":
            self._framed = True
            if self._pending or not self._read_data(value, line, at_s):
                self._pending.append(value)

    def _dispatch(self, at_s: float) -> None:
        """A blank line: what was begun must be an event now."""
        if self._pending:
            self._read_pending(at_s)
        if self._name == _ERROR:
            self._blame(Fault("error"))
        self._name = b""

    def _read_pending(self, at_s: float) -> None:
        """The lines of an event together; or, where a server leaves out blank lines, one by one."""
        pending, self._pending = self._pending, []
        if self._read_data(b"\n".join(pending), b"", at_s):
            return
        for each in pending:
            if len(pending) == 1 or not self._read_data(each, b"", at_s):
                self._blame(Fault("not_json", chunk.readable(each.decode(errors="replace"))))

    def _read_data(self, data: bytes, line: bytes, at_s: float) -> bool:
        """False where it is no whole JSON, which a later line may complete."""
        bare = data.strip()
        if not bare:
            return True
        if bare.strip(_QUOTE).upper() == _DONE:
            self.done = True
            return True
        try:
            event = chunk.as_object(bare)
        except ValueError:
            return False
        if isinstance(event, Mapping):
            self._read_event(event, line, at_s)
        elif self._name == _ERROR:
            self._blame(Fault("error", chunk.readable(str(event))))
        elif event is not None:
            self._keep_stray(bare)
        return True

    def _read_stray(self, line: bytes, at_s: float) -> None:
        """Outside of any event: bare JSON, or a body that is no stream."""
        self._keep_stray(line)
        if line.startswith(b"{") and line.rstrip().endswith(b"}"):
            try:
                event = chunk.as_object(line)
            except ValueError:
                event = None
            if isinstance(event, Mapping):
                self._bare = True
                self._read_event(event, b"", at_s)

    def _keep_stray(self, line: bytes) -> None:
        if len(self._stray) < _STRAY_MOST:
            self._stray += line + b"\n"

    def _stray_words(self) -> str | None:
        return chunk.readable(self._stray.decode(errors="replace")) or None

    def _read_event(self, event: Mapping[str, Any], line: bytes, at_s: float) -> None:
        if (fault := chunk.fault_of(event, named_error=self._name == b"error")) is not None:
            self._blame(fault)
        if (counts := chunk.counts_of(event)) is not None:
            self._tally.hear(counts, alone=not any(True for _ in chunk.choices(event)))
        if fault is not None or counts is not None:
            line = b""  # nothing to learn from: a line like it must be parsed as it was
        has_token = False
        for choice in chunk.choices(event):
            has_token |= self._read_choice(choice, line)
        if not has_token:
            return
        if self._first_at_s is None:
            self._first_at_s = at_s
        else:
            self._gaps.append(at_s - self._last_at_s)
        self._last_at_s = at_s

    def _read_choice(self, choice: Mapping[str, Any], line: bytes) -> bool:
        """Whether it brings a token. The first word of its end is one: vLLM's last token is it."""
        index = choice.get("index")
        number = index if isinstance(index, int) else 0
        self._choices.add(number)
        text, has_token = chunk.text_of(choice)
        self._has_text |= has_token
        content = chunk.content_of(choice)
        if self._keeps_text and number == 0:
            self._text.append(content)
        finish = chunk.finish_of(choice)
        if finish is None:
            if text is not None and line:
                self._learn(line, text, is_content=number == 0 and content != "")
            return has_token
        has_token |= number not in self._ended
        self._ended.add(number)
        self._finish = self._finish or finish
        if (fault := chunk.bad_end(finish)) is not None:
            self._blame(fault)
        return has_token

    def _learn(self, line: bytes, text: str, *, is_content: bool) -> None:
        """The next tokens will look like this one, if it can be told where its text stands."""
        for is_ascii in (True, False):
            quoted = json.dumps(text, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
            if line.count(quoted) == 1:
                before, after = line.split(quoted)
                self._template = _Template(before + _QUOTE, _QUOTE + after, is_content)
                return

    def _blame(self, fault: Fault) -> None:
        """The first counts; words are taken from a later one where it has none."""
        if self._fault is None or (self._fault.said is None and self._fault.code == "error"):
            self._fault = fault

    def _end(self) -> None:
        """Nothing more will come: what is left needs no line end, and no blank line."""
        if rest := self._lines.rest():
            self._read_line(rest, self._at_s)
        for each in self._pending:
            self._read_data(each, b"", self._at_s)  # half a line was cut off, which is said by that
        self._pending.clear()
        if self._stray and not self._framed and not self._bare:
            self._bare = True
            try:
                event = chunk.as_object(bytes(self._stray))
            except ValueError:
                return
            if isinstance(event, Mapping):
                self._read_event(event, b"", self._at_s)

    def _nothing(self, counted: int | None) -> Fault | None:
        """Why there is no token in it, though its stream may have ended as it should."""
        if self._has_text or counted:
            return None
        if self._stray:
            name = "not_understood" if self._framed else "not_a_stream"
            return Fault(name, self._stray_words())
        return Fault("empty_answer") if self.done or self._ended else None


def _unescaped(text: bytes) -> str:
    try:
        return str(json.loads(_QUOTE + text + _QUOTE))
    except ValueError:
        return text.decode(errors="replace")
