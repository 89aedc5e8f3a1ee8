"""The SLO's text."""

import pytest

from admission.terms.slo import Slo, parse_slo


def test_each_term_sets_its_bound() -> None:
    assert parse_slo("ttft_p95<=2s, tpot_p99<=100ms, success>=99%") == Slo(
        ttft_s=2.0, tpot_s=0.1, ttft_share=0.95, tpot_share=0.99, success_ratio=0.99
    )


def test_what_is_printed_is_read_again() -> None:
    slo = parse_slo("ttft_p95<=2.5s,tpot_p90<=80ms,success>=99.5%")
    assert parse_slo(str(slo)) == slo


@pytest.mark.parametrize(
    "text", ["", "ttft<=2s", "ttft_p0<=2s", "ttft_p95<=2", "tpot_p95<=0ms", "success>=101%", "x"]
)
def test_a_term_that_is_not_understood_names_what_is_valid(text: str) -> None:
    with pytest.raises(ValueError, match="valid: ttft_p95<=2s"):
        parse_slo(text)


def test_a_bound_is_given_once() -> None:
    with pytest.raises(ValueError, match="second time"):
        parse_slo("ttft_p95<=2s,ttft_p99<=5s")
