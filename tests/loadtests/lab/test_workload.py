"""A trace as the lab plays it."""

import gzip
from pathlib import Path

import pytest

from loadtests.asking.trace_file import Row
from loadtests.lab.playing.workload import Cut, from_rows, read_workload

ROWS = [Row(100 + n, 10, at_s=float(n)) for n in range(10)]


def test_times_begin_at_zero_and_run_as_fast_as_asked() -> None:
    workload = from_rows("t", ROWS, Cut(warm_up=2, rate_scale=2.0, skip=1))
    assert [each.arrived_at_s for each in workload.requests[:3]] == [0.0, 0.5, 1.0]
    assert workload.counted == range(2, 9)
    assert workload.span_s == pytest.approx(7 / 2)


def test_requests_after_the_limit_still_arrive() -> None:
    workload = from_rows("t", ROWS, Cut(warm_up=2, limit=3))
    assert workload.counted == range(2, 5)
    assert len(workload.requests) == 10


def test_what_the_context_does_not_hold_is_left_out_and_said() -> None:
    workload = from_rows("t", ROWS, Cut(warm_up=0, context_tokens=105))
    assert (len(workload.requests), workload.left_out) == (5, 5)
    assert workload.requests[4].max_tokens == 1, "104 + 1 is what the context takes"


def test_the_traces_own_limit_goes_before_the_flag() -> None:
    rows = [Row(8, 4, at_s=0.0, max_tokens=9), Row(8, 4, at_s=1.0)]
    workload = from_rows("t", rows, Cut(warm_up=0, max_tokens=50))
    assert [each.max_tokens for each in workload.requests] == [9, 50]


def test_the_last_block_of_a_prompt_is_its_own() -> None:
    rows = [Row(n, 4, at_s=0.0, blocks=("1", "2")) for n in (1024, 1025)]
    workload = from_rows("t", rows, Cut(warm_up=0))
    assert [each.prefix for each in workload.requests] == [("1",), ("1", "2")]


def test_a_trace_without_times_cannot_be_played() -> None:
    with pytest.raises(ValueError, match="no column timestamp_s"):
        from_rows("t", [Row(1, 1)], Cut())


def test_a_trace_that_ends_in_the_warm_up_says_so() -> None:
    with pytest.raises(ValueError, match="10 requests from row 0 on, 200 of them to warm up"):
        from_rows("t", ROWS, Cut())


def test_a_gzip_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("timestamp_s,prompt_tokens,output_tokens,max_tokens\n0,5,1,7\n1,5,1,\n")
    assert [r.max_tokens for r in read_workload(path, Cut(warm_up=0)).requests] == [7, 2048]
