"""Measures steps: on an engine that is started here, or on a running gateway."""

import asyncio
import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from admission.price.footprint import EngineShape
from admission.speed.step_fit import TimedStep
from serve.commands.calibrate.load import play
from serve.commands.no_answer import no_answer
from serve.commands.operate.endpoint import checked_url
from serve.gate.step_times import StepTimes, timed
from serve.profile.settings import Profile

Say = Callable[[str], None]

_VOCABULARY = 30_000  # ordinary token ids in every model; a gateway does not report its own
_TIMEOUT_S = 600.0
_PATIENT = {"x-slo-ttft-ms": str(round(1000 * _TIMEOUT_S))}  # the gateway caps it
_QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "TQDM_DISABLE": "1"}


class BusyError(Exception):
    """The endpoint has other work, which would distort the measurement."""


class DownError(Exception):
    """Nothing answers, or no Sluice gateway."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Steps of one engine, with its model and the size of the load."""

    model: str
    steps: list[TimedStep]
    batches: int
    seconds: float


def measure_engine(profile: Profile, *, seconds: float, say: Say) -> Measured:
    """Start the profile's engine, load it, end it. Raises what an engine's start raises."""
    return asyncio.run(_measure_engine(profile, seconds, say))


async def _measure_engine(profile: Profile, seconds: float, say: Say) -> Measured:
    # vLLM reads its environment while it is imported, and its processes inherit it
    os.environ.update({**_QUIET, **profile.engine.environment})
    say("starting the engine")
    from serve.service import open_engine  # noqa: PLC0415 - vLLM: seconds

    engine = await open_engine(profile)
    try:
        times = StepTimes(engine.shape.capacity_tokens, kept=None)
        await engine.run([1] * 8, 8)  # warm-up: compilation at first use is not measured
        engine.listen(times.note)
        begun_s = time.monotonic()
        done = await play(
            engine.run,
            engine.shape,
            vocabulary=engine.vocabulary,
            seconds=seconds,
            now=time.monotonic,
            say=say,
        )
        return Measured(engine.served_model, times.timed(), done, time.monotonic() - begun_s)
    finally:
        engine.close()
        del engine
        gc.collect()  # vLLM's client closes once more when it goes, and cannot at Python's own end


def measure_gateway(url: str, key: str | None, *, seconds: float, say: Say) -> Measured:
    """Puts the load on an idle gateway, and reads its last steps."""
    checked_url(url)
    return asyncio.run(_measure_gateway(url, key, seconds, say))


async def _measure_gateway(url: str, key: str | None, seconds: float, say: Say) -> Measured:
    headers = _PATIENT | ({} if key is None else {"Authorization": f"Bearer {key}"})
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as session:
        try:
            state = await _get(session, "/v1/admission/state", "leases", "queue", "engine")
            _refuse_busy(state)
            models = await _get(session, "/v1/models", "data")
            model = models["data"][0]["id"]

            async def run(prompt: Any, output_tokens: int) -> None:
                body = {"model": model, "prompt": list(prompt), "max_tokens": output_tokens}
                await _post(session, body | {"ignore_eos": True})

            begun_s = time.monotonic()
            done = await play(
                run,
                _shape(state["engine"]),
                vocabulary=_VOCABULARY,
                seconds=seconds,
                now=time.monotonic,
                say=say,
            )
            found = await _get(session, "/v1/admission/steps", "rows", "capacity_tokens")
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise DownError(no_answer(url, problem)) from problem
    steps = timed(tuple(map(tuple, found["rows"])), found["capacity_tokens"])
    return Measured(model, steps, done, time.monotonic() - begun_s)


def _refuse_busy(state: dict[str, Any]) -> None:
    held, waiting = state["leases"], state["queue"]["requests"]
    if held or waiting:
        raise BusyError(
            f"the gateway is busy: {held} requests run and {waiting} wait; measured beside them, "
            "its steps would be theirs, too"
        )


def _shape(engine: dict[str, Any]) -> EngineShape:
    return EngineShape(**{k: v for k, v in engine.items() if k != "capacity_tokens"})


async def _get(session: aiohttp.ClientSession, path: str, *keys: str) -> dict[str, Any]:
    """The JSON answer of a gateway; raises DownError if one of the keys is missing."""
    async with session.get(path) as answer:
        if answer.status != 200:  # noqa: PLR2004
            raise DownError(
                f"GET {path} answered {answer.status}; it takes a Sluice gateway, and an"
                " administrator's key where keys are configured"
            )
        try:
            document = await answer.json(content_type=None)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not document.keys() >= {*keys}:
            raise DownError(f"GET {path} is answered by no Sluice gateway of this version")
        return document


async def _post(session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    """Ignores refusals: a refused request makes no step, and the steps of the others count."""
    async with session.post("/v1/completions", json=body) as answer:
        if answer.status not in (HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS):
            raise DownError(f"a request of our own was refused: {await answer.text()}")
        await answer.read()
