"""Prompts as a user has them: texts, chats, tools and conversations, each asked as it is. Pure.

A conversation has several turns. Each is asked after the answer to the one before it, which becomes
part of what is asked. Where the next turn brings the result of a tool, the recorded call goes
before it: a result must answer the very call that asked for it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_BYTES_PER_TOKEN = 4  # a guess, for what must be known before a tokenizer counts
_UNKNOWN_TOKENS = 256  # of an answer that nothing is said of: paces the first users, no more
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a user says next. `recorded` = the answer that the file has, `output_tokens` its size.

    The size is None where nothing is known of it.
    """

    messages: tuple[Message, ...]
    recorded: Message | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """One entry of a file. `fields` go out with every turn as they are.

    `prompt`: for completions, a text or token ids; turns are empty then. `place` = FILE:LINE.
    """

    place: str
    line: int
    turns: tuple[Turn, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | tuple[int, ...] | None = None
    output_tokens: int | None = None

    def same(self) -> str:
        """Equal for prompts that a prefix cache cannot tell apart."""
        asked: Any = self.prompt or [turn.messages for turn in self.turns]
        if isinstance(asked, str):
            asked = [[{"role": "user", "content": asked}]]
        return json.dumps([asked, self.fields.get("tools")], sort_keys=True, default=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn that is being asked, after what was said before it."""

    given: Given
    number: int = 1  # of the turn
    history: tuple[Message, ...] = ()
    repeat: bool = False

    @property
    def turn(self) -> Turn:
        """Of a prompt for completions one that says nothing."""
        return self.given.turns[self.number - 1] if self.given.turns else Turn(())

    def messages(self) -> Sequence[Message]:
        """All that this turn sends."""
        return (*self.history, *self.turn.messages)

    def next(self, answer: str) -> "Asked | None":
        """The next turn after this answer; None where the conversation is over."""
        if self.number >= len(self.given.turns):
            return None
        following = self.given.turns[self.number]
        said: Message = {"role": "assistant", "content": answer}
        if following.messages[0].get("role") == "tool" and self.turn.recorded is not None:
            said = self.turn.recorded
        history = (*self.messages(), said)
        return Asked(self.given, self.number + 1, history, self.repeat)

    def prompt_tokens(self) -> int:
        """A guess by length; what the server counted is in the usage."""
        prompt = self.given.prompt
        if isinstance(prompt, tuple):
            return len(prompt)
        said = prompt or json.dumps([self.messages(), self.given.fields.get("tools", "")])
        return max(1, len(said) // _BYTES_PER_TOKEN)

    def known_output_tokens(self) -> int | None:
        """How long the answer is to be, by the file; None where it does not say."""
        return self.given.output_tokens or self.turn.output_tokens

    def output_tokens(self) -> int:
        """The same, or at most what is asked for."""
        limit = self.given.fields.get("max_tokens") or self.given.fields.get(
            "max_completion_tokens"
        )
        return self.known_output_tokens() or limit or _UNKNOWN_TOKENS


def tokens_of(text: str) -> int:
    """About so many."""
    return max(1, len(text) // _BYTES_PER_TOKEN)
