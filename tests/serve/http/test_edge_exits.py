"""The lease's one door out: however a request ends, what it held is given back, once."""

import asyncio

import pytest
from starlette.types import Send

from admission.terms.decision import Reason, Rejected
from serve.visit import VISIT
from tests.fakes import Exchange, House, body, house, json_answer, settle, start

QUEUE_FULL = Rejected(Reason.QUEUE_FULL, "The line is full.", retry_after_s=2.0)


def assert_left_once(at: House) -> None:
    assert len(at.gate.left) == 1
    assert not at.gate.held
    assert not at.gate.waiting
    assert at.app.running == 0


async def test_a_finished_stream_gives_its_lease_back_once() -> None:
    at = house()
    done = await at.ask()
    assert done.status == 200
    assert done.answer_body == b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
    assert_left_once(at)
    assert at.gate.left[0].client_left is False


@pytest.mark.parametrize("how", ["disconnect", "cancellation", "both"])
async def test_a_client_that_leaves_while_queued_leaves_the_line(how: str) -> None:
    at = house()
    at.gate.room.clear()
    call = at.open()
    await settle()
    assert len(at.gate.waiting) == 1
    await hang_up(call, how)
    assert_left_once(at)
    assert at.gate.left[0].client_left is True
    assert call.sent == []


@pytest.mark.parametrize("how", ["disconnect", "cancellation", "both"])
async def test_cancelled_in_the_instant_of_acceptance_holds_nothing(how: str) -> None:
    at = house()
    at.gate.room.clear()
    call = at.open()
    await settle()
    at.gate.room.set()  # the line wakes the request and the client leaves in the same turn
    await hang_up(call, how)
    assert_left_once(at)


@pytest.mark.parametrize("how", ["disconnect", "cancellation", "both"])
@pytest.mark.parametrize("messages", [0, 1, 2])
async def test_a_client_gone_at_message(messages: int, how: str) -> None:
    at = house()
    call = at.open()
    for _ in range(messages):
        at.app.tokens.release()
    await settle()
    assert len(call.sent) == (messages + 1 if messages else 0)  # start and first token are one
    await hang_up(call, how)
    assert_left_once(at)
    assert at.app.ran_to_the_end == 0


async def hang_up(call: Exchange, how: str) -> None:
    """As Ray Serve tells it: by a message, by cancelling our call, or by both at once."""
    if how in {"disconnect", "both"}:
        call.disconnect()
    if how in {"cancellation", "both"}:
        call.task.cancel()
    if how == "disconnect":
        await call.end()
    else:
        with pytest.raises(asyncio.CancelledError):
            await call.end()


async def test_a_deaf_handler_is_cancelled_after_the_grace_time() -> None:
    at = house(grace_s=0)
    at.app.deaf = True
    call = at.open()
    await settle()
    assert len(at.gate.held) == 1
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.end()
    assert_left_once(at)


async def test_a_second_cancellation_does_not_cut_the_way_out_short() -> None:
    at = house()
    call = at.open()
    await settle()
    call.task.cancel()
    await asyncio.sleep(0)
    call.task.cancel()
    await asyncio.sleep(0)
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.end()
    assert_left_once(at)


async def test_a_client_that_leaves_before_the_app_starts_never_reaches_it() -> None:
    at = house()
    call = at.open()
    call.disconnect()
    call.task.cancel()  # before its first step
    with pytest.raises(asyncio.CancelledError):
        await call.end()
    await settle()
    assert at.app.visits == []
    assert not at.gate.held


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_not_offered() -> None:
    at = house()
    call = at.open(raw=b"")
    call.incoming.get_nowait()
    call.give(b'{"model": "m", ', more=True)
    call.disconnect()
    await call.end()
    assert at.gate.prechecked == []
    assert call.sent == []
    assert at.log[0]["status"] == 499


async def test_a_crash_before_the_first_byte_is_a_500_and_gives_the_lease_back() -> None:
    at = house()

    async def crash(send: Send) -> None:
        await send(start(200))
        raise RuntimeError("boom")

    at.app.script = crash
    done = await at.ask()
    assert done.status == 500
    assert done.answer_json["error"]["code"] == "internal_error"
    assert "boom" not in done.answer_body.decode()
    assert_left_once(at)


async def test_a_crash_in_the_middle_breaks_the_connection_and_gives_the_lease_back() -> None:
    at = house()

    async def crash(send: Send) -> None:
        await send(start(200))
        await send(body(b"half", more=True))
        raise RuntimeError("boom")

    at.app.script = crash
    with pytest.raises(ConnectionAbortedError):
        await at.ask()
    assert_left_once(at)


async def test_an_app_that_ends_without_an_answer_is_a_500() -> None:
    at = house()

    async def nothing(send: Send) -> None:
        pass

    at.app.script = nothing
    assert (await at.ask()).status == 500
    assert_left_once(at)


async def test_an_engine_that_dies_with_leases_out_answers_503_before_the_first_byte() -> None:
    at = house()
    calls = [at.open() for _ in range(3)]
    await settle()
    assert len(at.gate.held) == 3
    at.gate.healthy = False
    at.app.script = None
    for _ in range(9):
        at.app.tokens.release()  # vLLM ends each stream with an error event of its own
    for call in calls:
        await call.end()
        assert call.status == 503
        assert call.answer_headers["x-sluice-reason"] == "engine_down"
    assert {line["reason"] for line in at.log} == {"engine_down"}
    assert len(at.gate.left) == 3
    assert not at.gate.held


async def test_an_engine_that_dies_in_a_whole_answer_answers_503() -> None:
    at = house()
    at.gate.healthy = False
    at.app.script = json_answer(500, {"error": {"message": "EngineDeadError", "code": 500}})
    done = await at.ask()
    assert done.status == 503
    assert done.answer_json["error"]["code"] == "engine_down"
    assert_left_once(at)


async def test_an_answer_that_was_complete_when_the_engine_died_is_delivered() -> None:
    at = house()
    at.gate.healthy = False
    at.app.script = json_answer(200, {"choices": []})
    assert (await at.ask()).status == 200


async def test_a_refusal_before_rendering_never_calls_the_app() -> None:
    at = house()
    at.gate.refusal = QUEUE_FULL
    done = await at.ask()
    assert done.status == 429
    assert at.app.visits == []
    assert_left_once(at)


async def test_a_refusal_after_rendering_replaces_what_vllm_says() -> None:
    at = house()
    at.gate.verdict = QUEUE_FULL
    done = await at.ask()
    assert done.status == 429
    assert done.answer_json["error"]["code"] == "queue_full"
    assert "vLLM" not in done.answer_body.decode()
    assert_left_once(at)


async def test_leaving_twice_is_left_to_the_gate_and_the_edge_leaves_once() -> None:
    at = house()
    call = at.open()
    await settle()
    call.disconnect()
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.end()
    await settle()
    assert_left_once(at)


async def test_a_duplicate_id_leaves_the_first_request_alone() -> None:
    at = house()
    first = at.open(headers={"x-request-id": "same"})
    second = at.open(headers={"x-request-id": "same"})
    await settle()
    names = [dict(scope["headers"])[b"x-request-id"] for scope in at.app.scopes]
    assert len(set(names)) == 2  # vLLM aborts by this name
    second.disconnect()
    await second.end()
    assert len(at.gate.held) == 1
    for _ in range(3):
        at.app.tokens.release()
    await first.end()
    assert first.finished
    assert first.answer_headers["x-request-id"] == "same"


async def test_the_visit_is_seen_inside_the_app_and_not_outside() -> None:
    at = house()
    await at.ask()
    assert at.app.visits[0] is at.gate.left[0]
    assert VISIT.get() is None


async def test_a_server_that_disconnects_after_the_last_byte_is_not_a_client_that_left() -> None:
    at = house()

    async def lingers(send: Send) -> None:
        await send(start(200))
        await send(body(b"{}"))
        await asyncio.Event().wait()  # a background job of the response

    at.app.script = lingers
    call = at.open()
    await settle()
    call.disconnect()  # what a server's receive says once the answer is complete
    await call.end()
    assert at.gate.left[0].client_left is False


# -- a first token that does not come ------------------------------------------------------

OVERDUE = Rejected(Reason.TTFT_SLO, "No token was computed in time.", retry_after_s=1.0)


async def test_an_overdue_request_is_answered_and_its_work_ended() -> None:
    at = house()
    at.gate.overdue_in = 0.001
    done = at.open()
    await settle()
    at.gate.overdue = OVERDUE
    await done.end()
    assert done.status == 429
    assert done.answer_headers["x-sluice-reason"] == "ttft_slo"
    assert done.answer_json["error"]["message"] == OVERDUE.message
    assert_left_once(at)
    assert at.gate.left[0].client_left is False
    assert at.app.ran_to_the_end == 0


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("/v1/chat/completions", b"\n\ndata: [DONE]\n\n"),
        ("/v1/completions", b"\n\ndata: [DONE]\n\n"),
        ("/v1/responses", b'"message": "No token was computed in time.", "param": null}\n\n'),
        ("/v1/messages", b'No token was computed in time."}}\n\n'),
    ],
)
async def test_a_stream_that_began_without_a_token_ends_with_an_error_event(
    path: str, ending: bytes
) -> None:
    async def created_then_silent(send: Send) -> None:
        await send(start(200, (b"content-type", b"text/event-stream")))
        await send(body(b"event: response.created\ndata: {}\n\n", more=True))
        at.gate.overdue = OVERDUE
        await asyncio.get_running_loop().create_future()

    at = house(grace_s=0.01)
    at.app.script = created_then_silent
    at.gate.overdue_in = 0.001
    call = at.open(path=path)
    await settle()
    await call.end()
    assert call.answer_body.startswith(b"event: response.created")
    assert call.answer_body.endswith(ending)
    assert call.finished
    assert_left_once(at)
