"""The official SDKs and a real HTTP server in front of the edge: errors arrive as what they are."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anthropic
import httpx2
import openai
import pytest
import uvicorn
from starlette.types import ASGIApp

from admission.terms.decision import Reason, Rejected
from serve.access.tenants import KeyEntry, Keys
from serve.http.problems import REASONS
from serve.profile.sections import HttpSection
from tests.fakes import House, house, json_answer, settle

MESSAGES = [{"role": "user", "content": "hello"}]
KEYS = Keys([KeyEntry(tenant="a", key_sha256="0" * 64)])


@asynccontextmanager
async def openai_client(app: ASGIApp) -> AsyncIterator[openai.AsyncOpenAI]:
    transport = httpx2.ASGITransport(app)
    async with openai.AsyncOpenAI(
        base_url="http://gateway/v1",
        api_key="none",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=transport),
    ) as client:
        yield client


@asynccontextmanager
async def anthropic_client(app: ASGIApp) -> AsyncIterator[anthropic.AsyncAnthropic]:
    transport = httpx2.ASGITransport(app)
    async with anthropic.AsyncAnthropic(
        base_url="http://gateway",
        api_key="none",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=transport),
    ) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reason", list(Reason))
async def test_openai_s_sdk_reads_every_refusal(reason: Reason, stream: bool) -> None:
    at = house()
    at.gate.verdict = Rejected(reason, "Said to the user.", retry_after_s=2.0)
    async with openai_client(at.edge) as client:
        with pytest.raises(openai.APIStatusError) as failure:
            await client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)
    assert failure.value.status_code == REASONS[reason].status
    assert failure.value.code == reason.value
    assert "Said to the user." in failure.value.message
    assert failure.value.request_id == failure.value.response.headers["x-request-id"]


@pytest.mark.parametrize("reason", list(Reason))
async def test_anthropic_s_sdk_reads_every_refusal(reason: Reason) -> None:
    at = house()
    at.gate.verdict = Rejected(reason, "Said to the user.", retry_after_s=2.0)
    async with anthropic_client(at.edge) as client:
        with pytest.raises(anthropic.APIStatusError) as failure:
            await client.messages.create(model="m", messages=MESSAGES, max_tokens=5)
    assert failure.value.status_code == REASONS[reason].status
    assert failure.value.type == REASONS[reason].anthropic_type
    assert failure.value.response.headers["x-sluice-reason"] == reason.value


async def test_both_sdks_know_a_bad_key_and_a_missing_model() -> None:
    closed, open_ = house(keys=KEYS), house()
    said = {"error": {"message": "No model.", "param": "model", "code": 404}}
    open_.app.script = json_answer(404, said)
    async with openai_client(closed.edge) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="m", messages=MESSAGES)
    async with anthropic_client(closed.edge) as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model="m", messages=MESSAGES, max_tokens=5)
    async with openai_client(open_.edge) as client:
        with pytest.raises(openai.NotFoundError, match="No model") as failure:
            await client.chat.completions.create(model="m", messages=MESSAGES)
    assert failure.value.code == "model_not_found"


async def until(holds: Callable[[], bool]) -> None:
    """Lets the loop and its sockets work until `holds`; a test that waits in vain fails."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - the event would have to be in other people's code
            await asyncio.sleep(0)


@asynccontextmanager
async def served(at: House) -> AsyncIterator[httpx2.AsyncClient]:
    """The edge behind a real server on a free port of loopback."""
    config = uvicorn.Config(at.edge, port=0, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_are_answered_413_whatever_the_client_does_with_its_connection(
    chunked: bool, connection: str
) -> None:
    at = house(limits=HttpSection(max_body_bytes=1_000_000))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    async with served(at) as client:
        content = pieces() if chunked else b"x" * 10_485_760
        headers = {"connection": connection}
        big = await client.post("/v1/chat/completions", content=content, headers=headers)
        assert big.status_code == 413
        assert big.json()["error"]["code"] == "request_too_large"
        assert (await client.get("/health")).json() == {"status": "ok"}
    assert at.app.scopes == []


async def test_a_stream_that_is_closed_frees_its_lease() -> None:
    at = house()
    async with served(at) as client:
        at.app.tokens.release()
        body = json.dumps({"model": "m", "messages": MESSAGES})
        async with client.stream("POST", "/v1/chat/completions", content=body) as answer:
            async for chunk in answer.aiter_bytes():
                assert chunk == b"data: 0\n\n"
                break
            assert len(at.gate.held) == 1
        await until(lambda: bool(at.gate.left))
    assert not at.gate.held
    assert at.gate.left[0].client_left is True


async def test_a_waiting_client_that_gives_up_leaves_the_line() -> None:
    at = house()
    at.gate.room.clear()
    async with served(at) as client:
        body = json.dumps({"model": "m", "messages": MESSAGES})
        call = asyncio.create_task(client.post("/v1/chat/completions", content=body))
        await until(lambda: bool(at.gate.waiting))
        call.cancel()
        await until(lambda: bool(at.gate.left))
    await settle()
    assert not at.gate.waiting
    assert at.app.running == 0
