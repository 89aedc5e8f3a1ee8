"""Callers that leave: at every point of a request, its head and body sent apart or not."""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import openai

from tests.live.gateway import Gateway

GAPS_S = (
    0.0,
    0.0005,
    0.002,
    0.05,
)  # between the head and the body, as clients on a network have it
BEFORE_THE_END = ("head", "half")  # the request is not complete then
COMPLETE = ("sent", "later", "first_byte")  # at once, queued or running, in the middle of a stream
LATER_S = 0.7  # nobody has an answer by then, and some are in line
ANSWER_TOKENS = 1500  # half a minute where it is not noticed
_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Leaver:
    """One caller; `name` is its request id."""

    name: str
    point: str
    gap_s: float | None  # None: head and body in one packet
    stream: bool
    reset: bool  # RST in place of FIN


def every_leaver() -> Iterator[Leaver]:
    """Every point, every gap, streaming or not."""
    points = (*BEFORE_THE_END, *COMPLETE)
    ways = itertools.product(points, (None, *GAPS_S), (False, True))
    for number, (point, gap_s, stream) in enumerate(ways):
        if (point == "first_byte" and not stream) or (point in BEFORE_THE_END and gap_s is None):
            continue
        yield Leaver(f"leaver-{number}", point, gap_s, stream, reset=number % 3 == 0)


async def leave_all(gateway: Gateway, model: str, leavers: list[Leaver], *, by_sdk: int) -> None:
    """All at once, and beside them `by_sdk` calls of OpenAI's SDK whose patience ends."""
    sdk = (_leave_by_sdk(gateway, model, f"leaver-sdk-{n}") for n in range(by_sdk))
    await asyncio.gather(*(_leave(gateway.port, model, each) for each in leavers), *sdk)


async def _leave(port: int, model: str, leaver: Leaver) -> None:
    head, body = _request(model, leaver)
    loop = asyncio.get_running_loop()
    with socket.socket() as caller:
        caller.setblocking(False)
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if leaver.reset:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await loop.sock_connect(caller, ("127.0.0.1", port))
        if leaver.gap_s is None:
            await loop.sock_sendall(caller, head + body)
        else:
            await loop.sock_sendall(caller, head)
            await asyncio.sleep(leaver.gap_s)
            sent = {"head": 0, "half": len(body) // 2}.get(leaver.point, len(body))
            await loop.sock_sendall(caller, body[:sent])
        if leaver.point == "first_byte":
            async with asyncio.timeout(_PATIENCE_S):
                while b"data: " not in await loop.sock_recv(caller, 4096):
                    pass
        elif leaver.point != "sent":
            await asyncio.sleep(LATER_S)


def _request(model: str, leaver: Leaver) -> tuple[bytes, bytes]:
    body = json.dumps(_fields(model) | {"stream": leaver.stream}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-request-id: {leaver.name}\r\n\r\n"
    )
    return head.encode(), body


def _fields(model: str) -> dict[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": ANSWER_TOKENS,
        "ignore_eos": True,
    }


async def _leave_by_sdk(gateway: Gateway, model: str, name: str) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=LATER_S
    ) as client:
        with contextlib.suppress(openai.APITimeoutError):
            await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "Hello!"}],
                max_tokens=ANSWER_TOKENS,
                extra_body={"ignore_eos": True},
                extra_headers={"x-request-id": name},
            )
