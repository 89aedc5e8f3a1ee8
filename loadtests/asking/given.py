"""A user's own prompts: texts, chats, tools and conversations, each sent unchanged. Pure.

A conversation has several turns. Each is sent after the answer to the turn before it, and includes
that answer. If the next turn has the result of a tool, the recorded call replaces the answer, since
a result must match the call that produced it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_BYTES_PER_TOKEN = 4  # an estimate for use before a tokenizer counts
_UNKNOWN_TOKENS = 256  # of an answer of unknown length; only paces the first users
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's next messages. `recorded` = the answer in the file, `output_tokens` its size.

    `output_tokens` None = unknown.
    """

    messages: tuple[Message, ...]
    recorded: Message | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """One entry of a file. Every turn is sent with `fields`, unchanged.

    `prompt`: a text or token ids for completions; then there are no turns. `place` = FILE:LINE.
    """

    place: str
    line: int
    turns: tuple[Turn, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | tuple[int, ...] | None = None
    output_tokens: int | None = None

    def same(self) -> str:
        """A key that is equal for prompts that are equal to a prefix cache."""
        asked: Any = self.prompt or [turn.messages for turn in self.turns]
        if isinstance(asked, str):
            asked = [[{"role": "user", "content": asked}]]
        return json.dumps([asked, self.fields.get("tools")], sort_keys=True, default=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn to send, with the messages before it."""

    given: Given
    number: int = 1  # of the turn
    history: tuple[Message, ...] = ()
    repeat: bool = False

    @property
    def turn(self) -> Turn:
        """The turn; an empty one for a completions prompt."""
        return self.given.turns[self.number - 1] if self.given.turns else Turn(())

    def messages(self) -> Sequence[Message]:
        """All messages that this turn sends."""
        return (*self.history, *self.turn.messages)

    def next(self, answer: str) -> "Asked | None":
        """The next turn after this answer; None at the end of the conversation."""
        if self.number >= len(self.given.turns):
            return None
        following = self.given.turns[self.number]
        said: Message = {"role": "assistant", "content": answer}
        if following.messages[0].get("role") == "tool" and self.turn.recorded is not None:
            said = self.turn.recorded
        history = (*self.messages(), said)
        return Asked(self.given, self.number + 1, history, self.repeat)

    def prompt_tokens(self) -> int:
        """An estimate by length; the server's count is in the usage."""
        prompt = self.given.prompt
        if isinstance(prompt, tuple):
            return len(prompt)
        said = prompt or json.dumps([self.messages(), self.given.fields.get("tools", "")])
        return max(1, len(said) // _BYTES_PER_TOKEN)

    def known_output_tokens(self) -> int | None:
        """The answer's length by the file; None = unknown."""
        return self.given.output_tokens or self.turn.output_tokens

    def output_tokens(self) -> int:
        """The answer's known length, else `max_tokens` or an assumed length."""
        limit = self.given.fields.get("max_tokens") or self.given.fields.get(
            "max_completion_tokens"
        )
        return self.known_output_tokens() or limit or _UNKNOWN_TOKENS


def tokens_of(text: str) -> int:
    """An estimate of the tokens in a text."""
    return max(1, len(text) // _BYTES_PER_TOKEN)
