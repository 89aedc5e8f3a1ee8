"""Chats from a seed, and traces with another clock."""

from itertools import pairwise
from pathlib import Path

import pytest

from loadtests.lab.fleet.workloads import Chats, Part, Trace

CHATS = Chats(32_768)
PART = Part(50, 400)


def test_the_same_draw_is_the_same_workload_and_another_is_not() -> None:
    assert CHATS.workload(2.0, PART).requests == CHATS.workload(2.0, PART).requests
    assert CHATS.workload(2.0, Part(50, 400, draw=2)).requests != CHATS.workload(2.0, PART).requests


def test_requests_come_at_the_rate_that_is_asked_for() -> None:
    for rate_per_s in (1.0, 8.0):
        workload = CHATS.workload(rate_per_s, Part(50, 2000))
        assert len(workload.offered) / workload.span_s == pytest.approx(rate_per_s, rel=0.15)


def test_a_turn_begins_with_all_that_went_before() -> None:
    requests = CHATS.workload(2.0, PART).requests
    chats: dict[str, list[tuple[str, ...]]] = {}
    for each in requests:
        own = [block for block in each.prefix if block.startswith("c")]
        if own:
            chats.setdefault(own[0].split(".")[0], []).append(each.prefix)
    longest = max(chats.values(), key=len)
    assert len(longest) > 2
    for before, after in pairwise(longest):
        assert after[: len(before)] == before


def test_system_prompts_are_shared_and_some_more_than_others() -> None:
    first = [each.prefix[0] for each in CHATS.workload(2.0, PART).requests]
    assert len(set(first)) <= 20
    assert first.count("s0.0") > 3 * first.count("s19.0")


def test_a_trace_is_stretched_to_a_rate_and_another_draw_begins_further_on(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"{n},{n + 1},3\n" for n in range(2000))
    path.write_text("timestamp_s,prompt_tokens,output_tokens\n" + rows)
    trace = Trace(path, 32_768)
    first, second = (trace.workload(5.0, Part(100, 400, draw)) for draw in (1, 2))
    assert len(first.offered) / first.span_s == pytest.approx(5.0)
    assert second.requests[0].prompt_tokens == first.requests[0].prompt_tokens + 500
