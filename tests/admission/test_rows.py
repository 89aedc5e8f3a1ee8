"""The table behind the ledger."""

import numpy as np

from admission.ledger.rows import RowTable


def table(lookahead_tokens: int = 0) -> RowTable:
    """An empty table of 16-token blocks."""
    return RowTable(block_tokens=16, lookahead_tokens=lookahead_tokens)


def add(rows: RowTable, prompt_tokens: int = 20, *, is_branch: bool = True) -> int:
    """A row with its prompt computed."""
    row = rows.add(prompt_tokens=prompt_tokens, predicted_tokens=100, is_branch=is_branch)
    rows.compute(row, prompt_tokens)
    return row


def advance(rows: RowTable, tokens: dict[int, int]) -> tuple[float, list[int]]:
    """Set the tokens of running rows."""
    return rows.advance(
        np.array(list(tokens), dtype=np.int64), np.array(list(tokens.values()), dtype=np.int64)
    )


def test_a_place_is_used_again_but_a_number_never() -> None:
    rows, seen = table(), set[int]()
    for _ in range(1000):
        row = add(rows)
        assert row not in seen
        seen.add(row)
        rows.remove(row)
    assert rows._used == 1


def test_a_late_record_of_a_freed_row_matches_no_row() -> None:
    rows = table()
    old = add(rows)
    rows.remove(old)
    new = add(rows)
    gain, outlived = advance(rows, {old: 50})
    assert (gain, outlived) == (0.0, [])
    assert rows.generated(new) == 0


def test_the_table_grows_and_keeps_what_it_holds() -> None:
    rows = table()
    numbers = [add(rows, prompt_tokens=index + 1) for index in range(1000)]
    assert [rows.prompt_tokens(row) for row in numbers] == list(range(1, 1001))
    assert rows.held_blocks() == sum(-(-tokens // 16) for tokens in range(1, 1001))


def test_nothing_is_held_before_the_prompt_is_begun() -> None:
    rows = table(lookahead_tokens=1)
    row = rows.add(prompt_tokens=20, predicted_tokens=100, is_branch=True)
    assert rows.blocks(row) == rows.held_blocks() == 0
    rows.compute(row, 16)
    assert rows.missing(row) == 4
    assert rows.blocks(row) == rows.held_blocks() == 2  # one token ahead of what is seen


def test_a_shared_prompt_runs_no_token_ahead() -> None:
    rows = table(lookahead_tokens=1)
    assert rows.blocks(add(rows, 16, is_branch=False)) == rows.held_blocks() == 1


def test_the_gain_is_the_mean_of_those_that_gained() -> None:
    rows = table()
    first, second, stalled = add(rows), add(rows), add(rows)
    assert advance(rows, {first: 1, second: 1, stalled: 0})[0] == 1.0
    assert advance(rows, {first: 3, second: 5, stalled: 0})[0] == 3.0
    assert advance(rows, {first: 3, second: 5, stalled: 0})[0] == 0.0


def test_who_has_all_it_was_predicted_and_runs_on_is_named() -> None:
    rows = table()
    row = add(rows)
    assert advance(rows, {row: 99})[1] == []
    assert advance(rows, {row: 100})[1] == [row]


def test_rows_off_their_trace_are_named() -> None:
    rows = table()
    row = add(rows)
    rows.note_demand(row, anchor=10, begin=10)
    advance(rows, {row: 50})
    assert rows.strayed(52, 8) == []
    assert rows.strayed(68, 8) == []
    assert rows.strayed(51, 8) == [row]  # nine tokens more than its demand has
    assert rows.strayed(69, 8) == [row]


def test_a_shared_prompt_never_strays() -> None:
    rows = table()
    add(rows, is_branch=False)
    assert rows.strayed(10_000, 8) == []
