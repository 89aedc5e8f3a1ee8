"""Prefix hashes of a trace's prompts, made from block ids; the gateway makes them from tokens."""

from admission.price.prefixes import PrefixHashes, chunk_tokens, named_chunks
from loadtests.lab.playing.workload import TraceRequest
from serve.simulated.requests import SHARED_TOKENS, Texts


class TracePrefixHasher:
    """Gives prompts equal hashes where the trace gives them equal block ids, none without ids.

    One hasher serves one run. It caches the hashes, since a request is looked up repeatedly while
    it waits.
    """

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._chunk_tokens = chunk_tokens(block_tokens)
        self._texts = Texts()
        self._made: dict[tuple[tuple[str, ...], int], PrefixHashes] = {}  # by ids and length

    def of(self, request: TraceRequest) -> PrefixHashes:
        """The prefix hashes of one prompt."""
        asked = request.prefix, request.prompt_tokens
        made = self._made.get(asked)
        if made is None:
            made = self._made[asked] = self._make(request)
        return made

    def _make(self, request: TraceRequest) -> PrefixHashes:
        texts = self._texts.of(request.prefix)
        tokens = min(request.prompt_tokens, SHARED_TOKENS * len(texts) + 1)
        names = []
        for chunk in range(named_chunks(tokens, self._block_tokens)):
            text, place = divmod((chunk + 1) * self._chunk_tokens - 1, SHARED_TOKENS)
            names.append(texts[text] * SHARED_TOKENS + place)
        return tuple(names)
