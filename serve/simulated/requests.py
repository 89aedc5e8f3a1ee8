"""A request as the stepped engine is given it, and the names of its KV blocks. Plain values."""

from collections.abc import Iterable
from dataclasses import dataclass

SHARED_TOKENS = 512  # prompt tokens that one id of `prefix` stands for


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """It ends by itself after `output_tokens`, or is cut at `max_tokens`.

    `prefix` names the prompt from its beginning, one id for each 512 tokens: what begins with the
    same ids is the same text. A prompt without ids is like no other.
    """

    engine_id: str
    prompt_tokens: int
    output_tokens: int
    max_tokens: int
    prefix: tuple[str, ...] = ()


class Texts:
    """Numbers beginnings of prompts: alike where all ids up to their end are alike."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}  # (what is before, id) -> number

    def of(self, prefix: Iterable[str]) -> tuple[int, ...]:
        """The number of the text up to the end of each of its parts of 512 tokens."""
        number, numbers = 0, []
        for name in prefix:
            number = self._numbers.setdefault((number, name), len(self._numbers) + 1)
            numbers.append(number)
        return tuple(numbers)


class BlockNames:
    """Names KV blocks, alike where the text up to their end is alike: what vLLM hashes tokens for.

    A block that is not wholly inside the named part of a prompt is its request's own.
    """

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._texts = Texts()
        self._requests = 0

    def of(self, request: EngineRequest) -> "RequestBlocks":
        """The names of one request's blocks, in order."""
        texts = self._texts.of(request.prefix)
        self._requests += 1
        named = min(request.prompt_tokens, SHARED_TOKENS * len(texts)) // self._block_tokens
        return RequestBlocks(self._requests, texts, named, self._block_tokens)


@dataclass(frozen=True, slots=True)
class RequestBlocks:
    """`named` blocks of the prompt lie in its `texts` of 512 tokens; the others are unique."""

    number: int
    texts: tuple[int, ...]
    named: int
    block_tokens: int

    def name(self, block: int) -> bytes:
        """The name of a block that is full."""
        if block >= self.named:
            return b"%d:%d" % (self.number, block)
        text, place = divmod(block * self.block_tokens, SHARED_TOKENS)
        return b"=%d:%d" % (self.texts[text], place)
