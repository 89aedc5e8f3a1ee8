"""Who holds what."""

import numpy as np
import pytest

from admission.ledger.lease import Lease
from admission.ledger.ledger import Ledger
from admission.price.footprint import EngineShape, PromptShape, RequestShape, price
from admission.price.outlook import Outlook
from tests.admission.examples import ENGINE, engine, is_empty, shape


def grant(ledger: Ledger, request: RequestShape, *, reserve: bool = False) -> Lease:
    """A lease for a request of known length."""
    outputs = [prompt.max_tokens for prompt in request.prompts]
    return ledger.grant(ledger.claim(price(request, ledger.engine, outputs, reserve=reserve)))


def running(request: RequestShape, shape_of_engine: EngineShape = ENGINE) -> tuple[Ledger, Lease]:
    """A ledger with one lease whose prompts are computed."""
    ledger = Ledger(shape_of_engine)
    lease = grant(ledger, request)
    ledger.prefilled(10**6)
    return ledger, lease


def progress(ledger: Ledger, tokens: dict[int, int]) -> list[int]:
    """Set what rows have generated."""
    return ledger.progress(
        np.array(list(tokens), dtype=np.int64), np.array(list(tokens.values()), dtype=np.int64)
    )


def test_a_grant_promises_at_once_and_holds_when_the_engine_begins() -> None:
    ledger = Ledger(ENGINE)
    grant(ledger, shape(160, 160))
    assert ledger.curve.peak() == 20
    assert (ledger.held_blocks, ledger.backlog_tokens, ledger.sequences) == (0, 160, 1)
    ledger.prefilled(100)
    assert (ledger.held_blocks, ledger.backlog_tokens) == (7, 60)
    ledger.prefilled(60)
    assert (ledger.held_blocks, ledger.backlog_tokens) == (10, 0)


def test_the_peak_is_not_the_sum_of_the_peaks() -> None:
    ledger = Ledger(ENGINE)
    grant(ledger, shape(480, 16))
    grant(ledger, shape(16, 480))
    assert ledger.curve.peak() == 31 + 3  # when the long prompt ends, the other is still small


def test_prompts_are_computed_in_order_of_arrival() -> None:
    ledger = Ledger(ENGINE)
    first, second = grant(ledger, shape(100, 10)), grant(ledger, shape(100, 10))
    ledger.prefilled(120)
    assert ledger.lease_blocks(first) == 7
    assert ledger.lease_blocks(second) == 2


def test_each_generated_token_corrects_what_is_held() -> None:
    ledger, lease = running(shape(160, 160))
    (row,) = lease.rows
    for tokens, blocks in ((1, 11), (16, 11), (17, 12), (160, 20)):
        progress(ledger, {row: tokens})
        assert ledger.held_blocks == ledger.lease_blocks(lease) == blocks


def test_an_asynchronous_engine_holds_one_token_more_than_was_seen() -> None:
    ledger, lease = running(shape(160, 160), engine(lookahead_tokens=1))
    (row,) = lease.rows
    progress(ledger, {row: 15})
    assert ledger.held_blocks == 11
    progress(ledger, {row: 16})
    assert ledger.held_blocks == 12
    assert ledger.curve.peak() == 20  # at its end it holds no more than a synchronous one


def test_an_engine_that_orders_ahead_may_hold_the_next_chunk_of_prompts_already() -> None:
    ledger = Ledger(engine(lookahead_tokens=1, max_batched_tokens=64))
    grant(ledger, shape(100, 10))
    grant(ledger, shape(100, 10))
    ledger.prefilled(64)
    # what is left of the first, with the token it begins to generate, and 28 of the second
    assert (ledger.held_blocks, ledger.ordered_blocks) == (5, (7 - 5) + 2)
    ledger.prefilled(136)
    assert ledger.ordered_blocks == 0
    assert Ledger(ENGINE).ordered_blocks == 0


def test_a_sequence_that_generates_has_its_whole_prompt() -> None:
    ledger = Ledger(ENGINE)
    lease = grant(ledger, shape(100, 60, sequences=2))
    other = grant(ledger, shape(100, 60))
    progress(ledger, {lease.rows[0]: 1})
    assert ledger.lease_blocks(lease) == 6 + 1
    assert ledger.lease_blocks(other) == 0
    assert ledger.backlog_tokens == 4 + 100


def test_what_siblings_find_in_the_cache_is_not_counted_for_others() -> None:
    ledger = Ledger(ENGINE)
    lease = grant(ledger, shape(100, 60, sequences=3))
    other = grant(ledger, shape(100, 60))
    ledger.prefilled(100)  # the first sequence computes the prompt
    assert ledger.lease_blocks(lease) == 6 + 1
    ledger.prefilled(2 * 100)  # the others find 96 tokens of it and compute 4
    assert ledger.lease_blocks(lease) == 6 + 3
    assert (ledger.lease_blocks(other), ledger.backlog_tokens) == (0, 100)


def test_a_shared_prompt_ends_with_the_last_sequence_of_its_own_prompt() -> None:
    body = RequestShape((PromptShape(100, 60), PromptShape(33, 20)), sequences=2)
    ledger, lease = running(body)
    first, second, third, fourth = lease.rows
    assert ledger.held_blocks == 6 + 2 + 2 + 2
    ledger.end_sequence(first)
    assert ledger.held_blocks == 6 + 1 + 2 + 2
    ledger.end_sequence(second)
    assert ledger.held_blocks == 2 + 2
    ledger.end_sequence(fourth)
    ledger.end_sequence(third)
    assert ledger.held_blocks == 0
    ledger.close(lease.lease_id)
    assert is_empty(ledger)


def test_a_lease_knows_its_rows_in_order_even_after_some_ended() -> None:
    ledger, lease = running(shape(100, 60, sequences=3))
    rows = lease.rows
    ledger.end_sequence(rows[0])
    assert lease.rows == rows
    assert list(lease.live) == list(rows[1:])


def test_a_sequence_ends_once() -> None:
    ledger, lease = running(shape(160, 160))
    (row,) = lease.rows
    assert ledger.end_sequence(row) is lease
    assert ledger.end_sequence(row) is None
    other = grant(ledger, shape(160, 160))
    assert ledger.end_sequence(row) is None
    assert list(other.live) == list(other.rows)
    assert ledger.sequences == 1


def test_a_row_that_ended_reads_as_nothing() -> None:
    ledger, lease = running(shape(160, 160))
    (row,) = lease.rows
    progress(ledger, {row: 5})
    assert (ledger.generated_tokens(row), ledger.predicted_tokens(row)) == (5, 160)
    ledger.close(lease.lease_id)
    assert (ledger.generated_tokens(row), ledger.predicted_tokens(row)) == (0, 0)
    assert ledger.lease_of(row) is None
    assert is_empty(ledger)


def test_closing_an_unknown_lease_is_the_callers_bug() -> None:
    with pytest.raises(KeyError):
        Ledger(ENGINE).close(1)


def test_the_clock_follows_those_that_generate() -> None:
    ledger = Ledger(ENGINE)
    first, second = grant(ledger, shape(160, 160)), grant(ledger, shape(160, 160))
    progress(ledger, {first.rows[0]: 0, second.rows[0]: 0})
    assert ledger.clock == 0  # prompts alone bring no sequence closer to its end
    progress(ledger, {first.rows[0]: 1, second.rows[0]: 0})
    progress(ledger, {first.rows[0]: 3, second.rows[0]: 0})
    assert ledger.clock == 3


def test_a_late_start_is_promised_from_the_beginning() -> None:
    slow = engine(max_batched_tokens=16, usable_blocks=1000)
    ledger = Ledger(slow)
    grant(ledger, shape(800, 16))
    lease = grant(ledger, shape(160, 32))
    until = ledger.curve.coming().steps_until_sequences(0, for_steps=1000)
    assert until >= (800 + 160) // 16 + 32
    now = ledger.curve.blocks_now()
    ledger.curve.add(ledger.claim(lease.price).demands[0])
    assert ledger.curve.blocks_now() == now + 11  # and may begin to grow at once


def test_a_sequence_later_than_promised_is_promised_anew() -> None:
    ledger, lease = running(shape(160, 32))
    (row,) = lease.rows
    other = grant(ledger, shape(16, 1500))
    for tokens in range(1, 60):
        progress(ledger, {row: 1, other.rows[0]: tokens})
    assert ledger.curve.blocks_now() >= 11 + 5
    assert ledger.curve.coming().steps_until_sequences(1, for_steps=1000) >= 31


def test_a_shared_prompt_is_promised_as_long_as_its_latest_sequence() -> None:
    ledger, lease = running(shape(100, 32, sequences=2))
    other = grant(ledger, shape(16, 1000))
    early, late = lease.rows
    for tokens in range(1, 33):
        progress(ledger, {early: tokens, late: 0, other.rows[0]: tokens})
    ledger.end_sequence(early)
    for tokens in range(33, 80):
        progress(ledger, {late: 0, other.rows[0]: tokens})
    shared_prefix = lease.shared_prefixes[0]
    assert ledger._promises.end_step(shared_prefix) >= ledger.step + 32
    assert ledger.curve.blocks_now() >= ledger.held_blocks


def test_a_new_prediction_is_promised_to_its_end() -> None:
    ledger, lease = running(shape(160, 32))
    (row,) = lease.rows
    assert progress(ledger, {row: 32}) == [row]
    ledger.repredict(row, Outlook(320))
    assert ledger.predicted_tokens(row) == 320
    assert ledger.curve.peak() == 30
    assert ledger.curve.coming().steps_until_blocks(0, for_steps=1000) >= 320 - 32


def test_the_worst_case_stays_promised_when_it_is_traced_anew() -> None:
    ledger = Ledger(ENGINE)
    lease = grant(ledger, shape(160, 160), reserve=True)
    (row,) = lease.rows
    assert ledger.curve.blocks_now() == 20
    progress(ledger, {row: 20})
    ledger.repredict(row, Outlook(160))
    assert ledger.curve.blocks_now() == 20


def test_what_is_computed_while_an_abort_is_under_way_counts_for_those_that_stay() -> None:
    ledger = Ledger(ENGINE)
    leaving, staying = grant(ledger, shape(160, 160)), grant(ledger, shape(160, 160))
    ledger.prefilled(32)
    ledger.stop_prefill(leaving)
    ledger.prefilled(64)
    assert (ledger.lease_blocks(leaving), ledger.lease_blocks(staying)) == (2, 4)
    ledger.close(leaving.lease_id)
    assert ledger.held_blocks == 4
    assert ledger.backlog_tokens == 96


def test_an_abort_alone_in_the_engine_still_counts_what_it_computes() -> None:
    ledger = Ledger(ENGINE)
    leaving = grant(ledger, shape(160, 160))
    ledger.stop_prefill(leaving)
    ledger.prefilled(64)
    assert ledger.held_blocks == 4
    ledger.close(leaving.lease_id)
    assert is_empty(ledger)
