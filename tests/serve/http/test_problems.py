"""Every refusal has a status, a shape and, where it helps, a time to come back."""

import json

import pytest

from admission.terms.decision import Reason, Rejected
from serve.http.problems import REASONS, answer, error
from serve.visit import ApiFamily

OPENAI_TYPES = {"rate_limit_error", "service_unavailable_error", "invalid_request_error"}
ANTHROPIC_TYPES = {"rate_limit_error", "overloaded_error", "invalid_request_error"}


def least(low: float, high: float) -> float:
    return low


def most(low: float, high: float) -> float:
    return high


def test_every_reason_has_a_status() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize(
    ("status", "reasons"),
    [
        (429, {"kv_capacity", "slots", "ttft_slo", "tpot_slo", "queue_full", "tenant_budget"}),
        (400, {"never_fits", "unsupported"}),
        (503, {"draining", "engine_down"}),
    ],
)
def test_contended_is_429_impossible_400_and_nothing_there_503(
    status: int, reasons: set[str]
) -> None:
    assert {r.value for r in Reason if REASONS[r].status == status} == reasons


@pytest.mark.parametrize("reason", list(Reason))
def test_an_openai_refusal_is_an_error_object_with_a_string_code(reason: Reason) -> None:
    problem = answer(Rejected(reason, "Why.", param="n"), ApiFamily.OPENAI)
    fault = json.loads(problem.body)["error"]
    assert fault["message"] == "Why."
    assert fault["type"] in OPENAI_TYPES
    assert fault["param"] == "n"
    assert fault["code"] == reason.value


@pytest.mark.parametrize("reason", list(Reason))
def test_an_anthropic_refusal_has_its_shape_and_the_reason_in_a_header(reason: Reason) -> None:
    problem = answer(Rejected(reason, "Why."), ApiFamily.ANTHROPIC)
    document = json.loads(problem.body)
    assert document["type"] == "error"
    assert document["error"]["type"] in ANTHROPIC_TYPES
    assert document["error"]["message"] == "Why."
    assert dict(problem.headers)[b"x-sluice-reason"] == reason.value.encode()


@pytest.mark.parametrize("reason", list(Reason))
def test_only_what_may_pass_later_says_when_to_come_back(reason: Reason) -> None:
    headers = dict(answer(Rejected(reason, "Why.", retry_after_s=3.0), ApiFamily.OPENAI).headers)
    again = REASONS[reason].retry
    assert headers[b"x-should-retry"] == (b"true" if again else b"false")
    assert (b"retry-after" in headers) is again
    assert (b"retry-after-ms" in headers) is again


@pytest.mark.parametrize(
    ("predicted_s", "jitter", "seconds", "milliseconds"),
    [
        (2.0, least, 2, 2000),
        (2.0, most, 3, 3000),
        (2.1, least, 3, 2100),
        (0.0, least, 1, 100),
        (None, least, 1, 1000),
        (500.0, least, 40, 39334),
        (500.0, most, 59, 59000),
    ],
)
def test_retry_after_is_whole_seconds_between_1_and_60_and_jittered(
    predicted_s: float | None, jitter: object, seconds: int, milliseconds: int
) -> None:
    refusal = Rejected(Reason.QUEUE_FULL, "Full.", retry_after_s=predicted_s)
    headers = dict(answer(refusal, ApiFamily.OPENAI, jitter=jitter).headers)
    assert int(headers[b"retry-after"]) == seconds
    assert int(headers[b"retry-after-ms"]) == milliseconds


def test_the_cap_leaves_room_for_the_jitter() -> None:
    refusal = Rejected(Reason.QUEUE_FULL, "Full.", retry_after_s=3600.0)
    times = {dict(answer(refusal, ApiFamily.OPENAI).headers)[b"retry-after-ms"] for _ in range(50)}
    assert len(times) > 40


@pytest.mark.parametrize(
    ("status", "sent", "code", "anthropic"),
    [
        (400, 400, "invalid_request", "invalid_request_error"),
        (401, 401, "invalid_api_key", "authentication_error"),
        (403, 403, "permission_denied", "permission_error"),
        (404, 404, "not_found", "not_found_error"),
        (413, 413, "request_too_large", "request_too_large"),
        (422, 400, "invalid_request", "invalid_request_error"),
        (431, 431, "headers_too_large", "request_too_large"),
        (500, 500, "internal_error", "api_error"),
        (502, 502, "bad_gateway", "api_error"),
        (599, 500, "internal_error", "api_error"),
    ],
)
def test_plain_errors_have_both_shapes(status: int, sent: int, code: str, anthropic: str) -> None:
    openai = error(status, "Text.", ApiFamily.OPENAI)
    assert openai.status == sent
    assert json.loads(openai.body)["error"]["code"] == code
    other = error(status, "Text.", ApiFamily.ANTHROPIC)
    assert json.loads(other.body)["error"] == {"type": anthropic, "message": "Text."}
