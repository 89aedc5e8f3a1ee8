"""What a token costs the load tests' client, and how late it reads it.

`python -m tests.bench.load_client`. The sender is a process of its own that notes when it sent;
both read the same monotonic clock.
"""

import argparse
import asyncio
import multiprocessing
import random
import re
import time
from multiprocessing.queues import Queue

import gevent

from loadtests.asking.prompts import Route
from loadtests.client.api import Api
from loadtests.client.attempt import Call, HttpLine
from loadtests.client.clock import ModelledClock
from loadtests.judging.percentiles import percentile

_TOKEN = (
    b'data: {"id":"chatcmpl-8d2f0f3dd4f24a0a9cbd5f3c2a1b","object":"chat.completion.chunk",'
    b'"created":1763838323,"model":"m","choices":[{"index":0,"delta":{"content":" word"},'
    b'"logprobs":null,"finish_reason":null}]}\n\n'
)
_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_NUMBER = re.compile(rb"x-request-id: (\d+)", re.IGNORECASE)


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


def send(told: "Queue[tuple[int, float]]", tokens: int, gap_s: float) -> None:
    """Tells its port as (0, port), then for each stream its number and when it sent its first."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match = _NUMBER.search(await reader.readuntil(b"\r\n\r\n"))
        assert match is not None
        await asyncio.sleep(random.uniform(0, 5 * gap_s))  # clients that start together drift apart
        writer.write(_HEAD)
        told.put((int(match.group(1)), time.perf_counter()))
        for _ in range(tokens):
            writer.write(_chunk(_TOKEN))
            await asyncio.sleep(gap_s)
        writer.write(_chunk(b"data: [DONE]\n\n") + _chunk(b""))
        await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        told.put((0, server.sockets[0].getsockname()[1]))
        await server.serve_forever()

    asyncio.run(serve())


def measure(streams: int, tokens: int, gap_s: float) -> str:
    """One line: tokens per second, CPU per token, how late the first token is read."""
    told: Queue[tuple[int, float]] = multiprocessing.Queue()
    sender = multiprocessing.Process(target=send, args=(told, tokens, gap_s), daemon=True)
    sender.start()
    _, port = told.get(timeout=10)
    clock, api = ModelledClock(), Api(f"http://127.0.0.1:{port:.0f}")
    line, zero_s = HttpLine(api.client, clock), time.perf_counter() - clock.now_s()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    calls = [Call(Route.CHAT, b"{}", {"x-request-id": str(n)}) for n in range(streams)]
    attempts = [gevent.spawn(line.attempt, call) for call in calls]
    gevent.joinall(attempts)
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    sent = dict(told.get(timeout=10) for _ in range(streams))
    firsts = [attempt.value.heard.first_at_s + zero_s for attempt in attempts]
    late_ms = [(first_s - sent[n]) * 1000 for n, first_s in enumerate(firsts)]
    sender.terminate()
    return (
        f"{streams} streams, {streams * tokens / wall_s:.0f} tokens/s:"
        f" {cpu_s / (streams * tokens) * 1e6:.0f} us a token, {cpu_s / wall_s:.0%} of a core;"
        f" first token read {percentile(late_ms, 0.5):.1f} ms late (p99"
        f" {percentile(late_ms, 0.99):.1f} ms)"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, nargs="+", default=[32, 128, 256])
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--gap-ms", type=float, default=40.0, help="0 = as fast as it goes")
    args = parser.parse_args()
    for streams in args.streams:
        print(measure(streams, args.tokens, args.gap_ms / 1000))


if __name__ == "__main__":
    main()
