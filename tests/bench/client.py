"""Streams N chat answers at once from one URL and prints what it saw as one JSON line.

Run as a process of its own, so that its CPU is not counted as the server's.
"""

import argparse
import asyncio
import json
import statistics
import time

import aiohttp


async def _stream(
    session: aiohttp.ClientSession, url: str, model: str, number: int, tokens: int
) -> tuple[float, int]:
    """Seconds to the first content, and the tokens the server says it generated."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"{number} tell me a story"}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    begun_s = time.perf_counter()
    first_s = 0.0
    usage = b""
    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.content:
            if not first_s and b'"content":"' in line and b'"content":""' not in line:
                first_s = time.perf_counter() - begun_s
            if b'"usage":{' in line:
                usage = line
    return first_s, int(json.loads(usage[6:])["usage"]["completion_tokens"])


async def measure(url: str, model: str, streams: int, tokens: int) -> dict[str, float]:
    """Tokens per second over all streams, TTFT median and p95 in seconds."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        begun_s = time.perf_counter()
        seen = await asyncio.gather(
            *(_stream(session, url, model, number, tokens) for number in range(streams))
        )
        took_s = time.perf_counter() - begun_s
    firsts = sorted(first for first, _ in seen)
    return {
        "tok_s": sum(count for _, count in seen) / took_s,
        "ttft_p50_s": statistics.median(firsts),
        "ttft_p95_s": firsts[int(0.95 * (len(firsts) - 1))],
        "took_s": took_s,
        "tokens": sum(count for _, count in seen),
    }


def main() -> None:
    """Command line of the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("streams", type=int)
    parser.add_argument("tokens", type=int)
    args = parser.parse_args()
    seen = asyncio.run(measure(args.url, args.model, args.streams, args.tokens))
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
