"""Prefix hashes of prompts: as vLLM hashes blocks, coarser and cheaper.

A hash is the sum, over all tokens up to the end of its chunk, of (token + 1) x a random number
of its place, modulo 2^64 (multilinear hashing: Carter and Wegman, 1979). The numbers are drawn anew
for each process and never leave it: no caller can choose prompts with equal hashes.
"""

import hashlib
import json
import secrets
from array import array
from collections.abc import Sequence

import numpy as np

from admission.price.footprint import EngineShape
from admission.price.prefixes import PrefixHashes, chunk_tokens, named_chunks


class PrefixHasher:
    """Alike where vLLM takes prompts for alike, by their tokens, cache salt and model (LoRA)."""

    def __init__(self, engine: EngineShape) -> None:
        self._block_tokens = engine.block_tokens
        self._secret = secrets.token_bytes(32)
        drawn = np.random.default_rng(secrets.randbits(128))
        most = np.iinfo(np.uint64).max
        self._of_place = drawn.integers(most, size=engine.max_model_len, dtype=np.uint64) | 1

    def of(self, tokens: Sequence[int], *, model: str, salt: str | None) -> PrefixHashes:
        """The prefix hashes of a prompt; half a millisecond for 16,000 tokens."""
        count = named_chunks(len(tokens), self._block_tokens)
        named = count * chunk_tokens(self._block_tokens)
        if not count or named > self._of_place.size:
            return ()
        values = np.array(array("I", tokens[:named]), dtype=np.uint64)
        values += np.uint64(1)  # a token 0 counts too
        values *= self._of_place[:named]
        names = values.reshape(count, -1).sum(axis=1, dtype=np.uint64).cumsum(dtype=np.uint64)
        names += np.uint64(self._start(model, salt))
        return tuple(names.tolist())

    def _start(self, model: str, salt: str | None) -> int:
        text = json.dumps([model, salt]).encode()
        digest = hashlib.blake2b(text, key=self._secret, digest_size=8).digest()
        return int.from_bytes(digest, "little")
