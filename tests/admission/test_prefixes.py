"""What is in the cache by our own accounting, and how far that is believed."""

import random
from collections import OrderedDict

import pytest

from admission.controller import Controller
from admission.price.cache_hits import CacheHits
from admission.price.footprint import Found, PromptShape, RequestShape
from admission.price.prefixes import Prefixes, PrefixHashes, chunk_tokens, named_chunks
from tests.admission.examples import ENGINE, EXACT, accepted, engine, offer, record, warm

TOKENS = chunk_tokens(ENGINE.block_tokens)
BLOCKS = TOKENS // ENGINE.block_tokens
A, B, C, D = 1, 2, 3, 4


def over(prefixes: Prefixes, hashes: PrefixHashes) -> None:
    prefixes.let_go(hashes, computed_tokens=len(hashes) * TOKENS)


@pytest.mark.parametrize(("block_tokens", "chunk"), [(16, 128), (128, 128), (256, 256), (48, 96)])
def test_a_name_covers_whole_blocks_of_some_128_tokens(block_tokens: int, chunk: int) -> None:
    assert chunk_tokens(block_tokens) == chunk


def test_the_last_token_of_a_prompt_is_never_found() -> None:
    assert [named_chunks(tokens, 16) for tokens in (0, 1, 128, 129, 257)] == [0, 0, 0, 1, 2]


def test_what_leases_hold_is_found() -> None:
    prefixes = Prefixes(ENGINE)
    prefixes.hold((A, B))
    assert prefixes.find((A, B, C)) == Found(2 * TOKENS, 2 * TOKENS)
    assert prefixes.find((C, B)) == Found()


def test_freed_blocks_are_still_cached() -> None:
    prefixes = Prefixes(ENGINE)
    prefixes.hold((A, B))
    prefixes.hold((A, C))
    over(prefixes, (A, B))
    assert prefixes.find((A, B)) == Found(TOKENS, 2 * TOKENS)
    over(prefixes, (A, C))
    assert prefixes.find((A, B)) == Found(0, 2 * TOKENS)


def test_what_was_never_computed_is_not_cached() -> None:
    prefixes = Prefixes(ENGINE)
    prefixes.hold((A, B))
    prefixes.let_go((A, B), computed_tokens=2 * TOKENS - 1)
    assert prefixes.find((A, B)) == Found(0, TOKENS)


def test_the_ends_of_prompts_are_lost_before_their_beginnings_and_old_ones_before_new() -> None:
    prefixes = Prefixes(ENGINE)
    for hashes in ((A, B), (C, D)):
        prefixes.hold(hashes)
        over(prefixes, hashes)
    found = []
    for free in (4 * BLOCKS, 4 * BLOCKS - 1, 2 * BLOCKS, BLOCKS, 0):
        prefixes.keep(free)
        found.append([prefixes.find(hashes).cached_tokens // TOKENS for hashes in ((A, B), (C, D))])
    assert found == [[2, 2], [1, 2], [0, 2], [0, 1], [0, 0]]


def test_what_is_used_again_is_young_again() -> None:
    prefixes = Prefixes(ENGINE)
    for hashes in ((A,), (B,), (A,)):
        prefixes.hold(hashes)
        over(prefixes, hashes)
    prefixes.keep(BLOCKS)
    assert prefixes.find((A,)).cached_tokens
    assert not prefixes.find((B,)).cached_tokens


def test_unnamed_blocks_are_reused_in_turn() -> None:
    prefixes = Prefixes(ENGINE)
    prefixes.hold((A,))
    over(prefixes, (A,))
    prefixes.pass_over(10)
    prefixes.hold((B,))
    over(prefixes, (B,))
    prefixes.keep(10 + BLOCKS)
    assert not prefixes.find((A,)).cached_tokens
    prefixes.keep(BLOCKS)
    assert prefixes.find((B,)).cached_tokens


def test_an_engine_without_prefix_caching_has_nothing() -> None:
    prefixes = Prefixes(engine(prefix_caching=False))
    prefixes.hold((A,))
    assert prefixes.find((A,)) == Found()
    over(prefixes, (A,))
    assert prefixes.find((A,)) == Found()


class Pool:
    """Blocks as vLLM keeps them, one by one: the oracle of the accounting."""

    def __init__(self, blocks: int) -> None:
        self.free: OrderedDict[object, None] = OrderedDict(((None, n), None) for n in range(blocks))
        self.users: dict[object, int] = {}
        self.count = 0

    def take(self, names: list[object]) -> None:
        for name in names:
            if name not in self.users and name not in self.free:
                self.free.popitem(last=False)
            self.free.pop(name, None)
            self.users[name] = self.users.get(name, 0) + 1

    def give(self, names: list[object]) -> None:
        for name in reversed(names):
            self.users[name] -= 1
            if not self.users[name]:
                del self.users[name]
                self.free[name] = None

    def has(self, name: object) -> bool:
        return name in self.users or name in self.free


@pytest.mark.parametrize("seed", range(20))
def test_random_lives_leave_what_a_pool_of_blocks_keeps(seed: int) -> None:
    """One block a chunk, so that the two can be compared name by name."""
    rng = random.Random(seed)
    shape = engine(block_tokens=128, usable_blocks=60)
    prefixes, pool, running, number = Prefixes(shape), Pool(60), [], 0
    for _ in range(300):
        if running and (rng.random() < 0.5 or len(pool.users) > 40):
            hashes, blocks = running.pop(rng.randrange(len(running)))
            pool.give(blocks)
            prefixes.pass_over(len(blocks) - len(hashes))
            prefixes.let_go(hashes, computed_tokens=128 * len(hashes))
        else:
            number += 1
            hashes = tuple(
                (rng.randrange(3) + 1) * 10**place for place in range(rng.randrange(1, 5))
            )
            hashes = tuple(sum(hashes[: place + 1]) for place in range(len(hashes)))
            expected = 0
            for name in hashes:
                if not pool.has(name):
                    break
                expected += 1
            assert prefixes.find(hashes).cached_tokens == 128 * expected
            blocks = [*hashes, *((number, place) for place in range(rng.randrange(6)))]
            pool.take(blocks)
            prefixes.hold(hashes)
            running.append((hashes, blocks))
        prefixes.keep(60 - len(pool.users))


# -- what was foreseen and what was found ----------------------------------------------------


def test_forecasts_are_believed_as_far_as_they_held() -> None:
    hits = CacheHits()
    assert hits.ratio == 1.0
    hits.expect(1, 1000)
    hits.expect(2, 1000)
    hits.see([1], 1000)
    assert hits.ratio == 1.0
    hits.see([2], 0)
    assert 0.4 < hits.ratio < 0.5
    assert (hits.foreseen_tokens, hits.found_tokens) == (2000, 1000)


def test_they_are_believed_again_once_they_hold() -> None:
    hits = CacheHits()
    for row, found in enumerate([0] * 100 + [500] * 200):
        hits.expect(row, 500)
        hits.see([row], found)
    assert hits.ratio > 0.99


def test_what_ended_before_it_began_says_nothing() -> None:
    hits = CacheHits()
    hits.expect(1, 1000)
    hits.forget(1)
    hits.see([1], 0)
    assert hits.ratio == 1.0


# -- in the controller -----------------------------------------------------------------------


def chat(hashes: PrefixHashes, prompt_tokens: int = 300) -> RequestShape:
    return RequestShape((PromptShape(prompt_tokens, 50, hashes),), ignore_eos=True)


def test_the_second_of_two_alike_waits_for_its_own_part_alone() -> None:
    controller = Controller(ENGINE, EXACT)
    warm(controller)
    first, second = offer(chat((A, B))), offer(chat((A, C)))
    accepted(controller.offer(first, 0.0))
    assert controller.ledger.backlog_tokens == 300
    assert controller.quote(second).price.cached_tokens == TOKENS
    accepted(controller.offer(second, 0.0))
    assert controller.ledger.backlog_tokens == 300 + 300 - TOKENS


def test_what_the_cache_did_not_hold_is_backlog_from_the_first_record_on() -> None:
    controller = Controller(ENGINE, EXACT)
    controller.prefixes.hold((A, B))
    lease = accepted(controller.offer(offer(chat((A, B))), 0.0))
    assert controller.ledger.backlog_tokens == 300 - 2 * TOKENS
    (row,) = controller.rows_of(lease)
    controller.progress(record({row: 0}, prefill_tokens=30), 0.1)
    assert controller.ledger.backlog_tokens == 270
    assert controller.prefixes.hits.ratio == 0.0


def test_what_the_cache_held_as_predicted_is_no_backlog() -> None:
    controller = Controller(ENGINE, EXACT)
    controller.prefixes.hold((A, B))
    lease = accepted(controller.offer(offer(chat((A, B))), 0.0))
    (row,) = controller.rows_of(lease)
    own = 300 - 2 * TOKENS
    controller.progress(record({row: 1}, prefill_tokens=own, cached_tokens=2 * TOKENS), 0.1)
    assert controller.ledger.backlog_tokens == 0
    assert controller.prefixes.hits.ratio == 1.0


def test_a_waiting_request_is_priced_by_what_is_cached_when_its_turn_comes() -> None:
    controller = Controller(engine(max_sequences=1), EXACT)
    lease = accepted(controller.offer(offer(chat((C,))), 0.0))
    waiting = controller.offer(offer(chat((A, B))), 0.0)
    assert waiting.quote.price.cached_tokens == 0
    controller.prefixes.hold((A, B))
    (turn,) = controller.release(lease, 1.0, in_engine=False)
    assert turn.quote.price.cached_tokens == 2 * TOKENS
    assert controller.ledger.backlog_tokens == 300 - 2 * TOKENS


def test_an_answer_leaves_its_prompt_in_the_cache() -> None:
    controller = Controller(ENGINE, EXACT)
    lease = accepted(controller.offer(offer(chat((A, B))), 0.0))
    (row,) = controller.rows_of(lease)
    controller.progress(record({row: 1}, prefill_tokens=300), 0.1)
    controller.release(lease, 0.2, in_engine=False)
    assert controller.prefixes.find((A, B)) == Found(0, 2 * TOKENS)


def test_a_prompt_for_several_answers_is_cached_until_the_last_of_them_ends() -> None:
    controller = Controller(ENGINE, EXACT)
    several = RequestShape((PromptShape(300, 50, (A, B)),), sequences=2, ignore_eos=True)
    lease = accepted(controller.offer(offer(several), 0.0))
    first, second = controller.rows_of(lease)
    prefill = {"prefill_tokens": 300 + 12, "cached_tokens": 288}
    controller.progress(record({first: 1, second: 1}, **prefill), 0.1)
    assert controller.prefixes.hits.ratio == 1.0
    controller.progress(record({second: 2}, ended=(first,)), 0.2)
    assert controller.prefixes.find((A,)).held_tokens == TOKENS
    controller.progress(record({}, ended=(second,)), 0.3)
    assert controller.prefixes.find((A, B)) == Found(0, 2 * TOKENS)
