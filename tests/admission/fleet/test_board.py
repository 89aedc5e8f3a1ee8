"""What a board says of sizes between and beyond those it names."""

import math

import pytest

from admission.fleet.board import PROMPT_SIZES
from tests.admission.fleet.boards import board


@pytest.mark.parametrize(
    ("tokens", "expected_s"), [(1, 1.0), (128, 1.0), (576, 1.5), (1024, 2.0), (16_384, 4.0)]
)
def test_sizes_between_are_on_a_straight_line(tokens: int, expected_s: float) -> None:
    assert board(ttft_s=(1.0, 2.0, 3.0, 4.0)).predicted_ttft_s(tokens) == pytest.approx(expected_s)


def test_longer_prompts_go_on_at_the_pace_of_the_engine() -> None:
    longer = board(ttft_s=(1.0, 2.0, 3.0, 4.0)).predicted_ttft_s(PROMPT_SIZES[-1] + 1000)
    assert longer == pytest.approx(5.0)


def test_what_is_never_answered_stays_so() -> None:
    assert board(ttft_s=(math.inf,) * 4).predicted_ttft_s(600) == math.inf


@pytest.mark.parametrize(
    ("changes", "tokens", "takes"),
    [
        ({}, 100, True),
        ({"open": False}, 100, False),
        ({}, 8_000, False),
        ({"capacity_tokens": 500}, 600, False),
    ],
)
def test_an_engine_takes_what_it_can_ever_hold(
    changes: dict[str, object], tokens: int, takes: bool
) -> None:
    assert board(**changes).takes(tokens) is takes
