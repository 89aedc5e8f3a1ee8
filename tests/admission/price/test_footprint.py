"""What a request costs, in whole blocks."""

import pytest

from admission.price.footprint import (
    Found,
    PromptShape,
    RequestShape,
    blocks_for,
    never_fits,
    price,
    shared_blocks,
)
from admission.terms.decision import Limit, Reason
from tests.admission.examples import ENGINE, engine, shape


@pytest.mark.parametrize(
    ("tokens", "blocks"), [(0, 0), (1, 1), (15, 1), (16, 1), (17, 2), (160, 10)]
)
def test_the_last_block_counts_in_full(tokens: int, blocks: int) -> None:
    assert blocks_for(tokens, block_tokens=16) == blocks


@pytest.mark.parametrize(("tokens", "blocks"), [(1, 0), (16, 0), (17, 1), (32, 1), (33, 2)])
def test_a_prompt_that_ends_on_a_block_shares_one_block_less(tokens: int, blocks: int) -> None:
    assert shared_blocks(tokens, block_tokens=16) == blocks


def test_one_answer_holds_its_prompt_and_grows_to_its_end() -> None:
    priced = price(shape(100, 60), ENGINE, [60])
    assert (priced.blocks_now, priced.blocks_peak) == (7, 10)
    assert (priced.prompt_tokens, priced.prefill_tokens, priced.output_tokens) == (100, 100, 60)
    assert priced.queue_tokens == 160
    assert priced.sequences == 1


def test_several_answers_share_the_full_blocks_of_their_prompt() -> None:
    priced = price(shape(100, 60, sequences=3), ENGINE, [60])
    shared_prefix, *branches = priced.segments
    assert (shared_prefix.prompt_tokens, shared_prefix.sequences) == (96, 0)
    assert [(b.prompt_tokens, b.grow_tokens) for b in branches] == [(4, 60)] * 3
    assert priced.blocks_now == 6 + 3 * 1
    assert priced.blocks_peak == 6 + 3 * 4
    assert priced.prefill_tokens == 100 + 2 * 4
    assert priced.output_tokens == 180


@pytest.mark.parametrize(
    ("request_shape", "caching"),
    [
        (shape(100, 60, sequences=3), False),
        (shape(100, 60, sequences=3, prompt_logprobs=True), True),
    ],
)
def test_nothing_is_shared_without_the_prefix_cache(
    request_shape: RequestShape, caching: bool
) -> None:
    priced = price(request_shape, engine(prefix_caching=caching), [60])
    assert len(priced.segments) == 3
    assert priced.blocks_peak == 3 * 10
    assert priced.prefill_tokens == 300


def test_a_prompt_within_one_block_shares_nothing() -> None:
    priced = price(shape(16, 16, sequences=2), ENGINE, [16])
    assert [segment.sequences for segment in priced.segments] == [1, 1]


def test_every_prompt_of_a_body_is_priced() -> None:
    body = RequestShape((PromptShape(100, 60), PromptShape(33, 20)), sequences=2)
    priced = price(body, ENGINE, [60, 20])
    assert [segment.prompt_index for segment in priced.segments] == [0, 0, 0, 1, 1, 1]
    assert priced.sequences == body.total_sequences == 4
    assert priced.prompt_tokens == 133
    assert priced.output_tokens == 160
    assert priced.blocks_peak == (6 + 2 * 4) + (2 + 2 * 2)


def test_the_worst_case_holds_its_end_from_the_start() -> None:
    priced = price(shape(100, 60), ENGINE, [60], reserve=True)
    assert priced.blocks_now == priced.blocks_peak == 10


def test_tokens_held_by_others_need_no_prefill() -> None:
    body = RequestShape((PromptShape(100, 60, found=Found(0, 64)),))
    priced = price(body, ENGINE, [60])
    assert (priced.prefill_tokens, priced.cached_tokens) == (36, 64)
    assert priced.blocks_now == 7


def test_the_time_a_request_takes_follows_its_expected_length() -> None:
    long, short = (price(shape(100, 60), ENGINE, [60], expected=[x]) for x in (60, 30))
    assert long.area_block_steps == (7 + 10) * 60 // 2
    assert short.area_block_steps == long.area_block_steps // 2
    assert (long.sequence_steps, short.sequence_steps) == (60, 30)
    assert long.blocks_peak == short.blocks_peak


def test_more_sequences_than_slots_never_fit() -> None:
    refusal = never_fits(price(shape(16, 16, sequences=5), ENGINE, [16]), ENGINE)
    assert refusal is not None
    assert (refusal.reason, refusal.limit, refusal.param) == (Reason.NEVER_FITS, Limit.SLOTS, "n")
    assert refusal.retry_after_s is None


def test_more_blocks_than_the_cache_never_fit() -> None:
    small = engine(usable_blocks=9)
    refusal = never_fits(price(shape(100, 60), small, [60]), small)
    assert refusal is not None
    assert (refusal.reason, refusal.limit) == (Reason.NEVER_FITS, Limit.KV)
    assert "160 tokens" in refusal.message
    assert "144" in refusal.message


@pytest.mark.parametrize("lookahead_tokens", [0, 1])
def test_the_longest_sequence_fits_a_cache_that_is_just_as_large(lookahead_tokens: int) -> None:
    tight = engine(usable_blocks=100, max_model_len=1600, lookahead_tokens=lookahead_tokens)
    assert never_fits(price(shape(100, 1500), tight, [1500]), tight) is None
