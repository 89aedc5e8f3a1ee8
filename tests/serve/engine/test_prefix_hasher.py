"""Prompts are known again by names: of their tokens live, of a trace's ids in the lab."""

import random

from admission.price.prefixes import chunk_tokens
from loadtests.lab.playing import prefix_hasher as lab
from loadtests.lab.playing.workload import TraceRequest
from serve.engine.prefix_hasher import PrefixHasher
from serve.simulated.requests import BlockNames, EngineRequest
from tests.admission.examples import engine

ENGINE = engine(max_model_len=4096)
RNG = random.Random(1)


def words(count: int) -> list[int]:
    return [RNG.randrange(150_000) for _ in range(count)]


def test_prompts_have_as_many_names_in_common_as_chunks() -> None:
    hasher, common = PrefixHasher(ENGINE), words(300)
    first, second = (hasher.of(common + words(300), model="m", salt=None) for _ in range(2))
    assert len(first) == len(second) == 4
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, False, False]


def test_the_same_chunk_after_another_has_another_name() -> None:
    hasher, same = PrefixHasher(ENGINE), words(200)
    first, second = (hasher.of(words(128) + same, model="m", salt=None) for _ in range(2))
    assert not set(first) & set(second)


def test_places_and_zeros_tell_prompts_apart() -> None:
    hasher = PrefixHasher(ENGINE)
    prompts = [[0] * 129, [0] * 400, [1] + [0] * 128, [0, 1] + [0] * 127]
    made = [hasher.of(prompt, model="m", salt=None) for prompt in prompts]
    assert [len(prefix_hashes) for prefix_hashes in made] == [1, 3, 1, 1]
    assert made[0][0] == made[1][0]
    assert len({name for prefix_hashes in made for name in prefix_hashes}) == 5


def test_salt_and_model_divide_what_is_alike() -> None:
    hasher, prompt = PrefixHasher(ENGINE), words(200)
    asked = [("m", None), ("m", "a"), ("m", "b"), ("lora", "a"), ("m", "null")]
    made = {hasher.of(prompt, model=model, salt=salt) for model, salt in asked}
    assert len(made) == len(asked)
    assert hasher.of(prompt, model="m", salt="a") in made


def test_short_prompts_have_no_names() -> None:
    hasher = PrefixHasher(ENGINE)
    assert hasher.of(words(128), model="m", salt=None) == ()
    assert hasher.of([], model="m", salt=None) == ()


# -- in the lab ------------------------------------------------------------------------------


def asked(prompt_tokens: int, *prefix: str) -> TraceRequest:
    return TraceRequest(0, 0.0, "all", prompt_tokens, 4, 64, prefix)


def test_a_trace_s_ids_of_512_tokens_are_four_names_each() -> None:
    hasher = lab.TracePrefixHasher(16)
    first, second = hasher.of(asked(1400, "1", "2")), hasher.of(asked(1400, "1", "3"))
    assert len(first) == len(second) == 8
    assert first[:4] == second[:4]
    assert not set(first[4:]) & set(second[4:])
    assert hasher.of(asked(1400)) == ()


def test_admission_takes_for_alike_what_the_engine_takes_for_alike() -> None:
    for block_tokens in (16, 48, 128, 256):
        hasher, blocks = lab.TracePrefixHasher(block_tokens), BlockNames(block_tokens)
        per_name = chunk_tokens(block_tokens) // block_tokens
        prefixes = [("1", "2", "3"), ("1", "2"), ("1", "4", "3"), ("5",)]
        named, engine_s = [], []
        for number, prefix in enumerate(prefixes):
            tokens = 512 * len(prefix) + 77
            prefix_hashes = hasher.of(asked(tokens, *prefix))
            own = blocks.of(EngineRequest(str(number), tokens, 4, 64, prefix))
            named.append(prefix_hashes)
            engine_s.append([own.name((i + 1) * per_name - 1) for i in range(len(prefix_hashes))])
        for prefix_hashes, names in zip(named, engine_s, strict=True):
            for other, others in zip(named, engine_s, strict=True):
                alike = [a == b for a, b in zip(prefix_hashes, other, strict=False)]
                assert alike == [a == b for a, b in zip(names, others, strict=False)]
