"""A calibration loads an engine so that each term shows, and writes what it found."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from admission.price.footprint import EngineShape
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step_fit import StepFit, TimedStep, fit
from serve.commands.calibrate import command
from serve.commands.calibrate.load import batches, play
from serve.commands.calibrate.sources import BusyError, DownError, Measured, measure_gateway
from serve.commands.calibrate.text import answer, report, section
from serve.profile.settings import load_profile
from serve.profile.yaml_file import with_section

SMALL = EngineShape(
    usable_blocks=200,
    block_tokens=16,
    max_sequences=8,
    max_model_len=1024,
    max_batched_tokens=256,
    prefix_caching=True,
)
LINE = StepCoefficients(0.02, 0.0004, 0.001, 0.00000123456)


def steps(line: StepCoefficients = LINE, count: int = 200) -> list[TimedStep]:
    found = []
    for number in range(count):
        prefill, decode = 64 * (number % 3), 1 + number % 30
        context = decode * (50 + 37 * (number % 11))
        seconds = line.seconds(
            prefill_tokens=prefill, decode_sequences=decode, context_tokens=context
        )
        found.append(TimedStep(prefill, decode, context, seconds))
    return found


def found(count: int = 200) -> StepFit:
    return fit(steps(count=count))


@pytest.mark.parametrize("sequences", [1, 3, 8, 300])
def test_what_is_asked_fits_the_engine(sequences: int) -> None:
    engine = EngineShape(200, 16, sequences, 512, 2048, prefix_caching=True)
    for batch in batches(engine):
        assert batch.prompt_tokens + batch.output_tokens < engine.max_model_len
        assert batch.sequences <= sequences
        held = batch.sequences * (batch.prompt_tokens + batch.output_tokens)
        assert batch.sequences == 1 or held <= engine.capacity_tokens


def test_prompts_widths_and_contexts_vary_by_themselves() -> None:
    asked = list(batches(SMALL))
    alone = [b for b in asked if b.output_tokens == 1]
    assert len({b.prompt_tokens for b in alone}) == 4
    short = [b.sequences for b in asked if b.prompt_tokens == 16]
    assert short == [1, 2, 4, 8]
    assert any(b.prompt_tokens > 900 and b.output_tokens > 1 for b in asked)


def test_prompts_are_all_different_and_nothing_begins_after_the_time() -> None:
    seen: list[tuple[int, ...]] = []
    clock = [0.0]

    async def run(prompt: Sequence[int], output_tokens: int) -> None:
        seen.append(tuple(prompt))
        clock[0] += 1.0

    def playing(seconds: float) -> Awaitable[int]:
        return play(
            run,
            SMALL,
            vocabulary=5000,
            seconds=seconds,
            now=lambda: clock[0],
            say=lambda _: None,
        )

    total = len(list(batches(SMALL)))
    assert asyncio.run(_value(playing(1e9))) == total
    assert len(set(seen)) == len(seen)
    assert all(100 <= token < 4500 for prompt in seen for token in prompt)
    assert 0 < asyncio.run(_value(playing(5.0))) < total


async def _value(awaited: Awaitable[int]) -> int:
    return await awaited


# -- what is written ---------------------------------------------------------------------------


def test_a_section_is_read_back_as_it_was_found() -> None:
    written = yaml.safe_load(section(found().coefficients))["step_time"]
    assert written == pytest.approx(
        {
            "fixed_s": 0.02,
            "prefill_token_s": 0.0004,
            "decode_sequence_s": 0.001,
            "context_token_s": 0.000001235,
        },
        rel=1e-3,
    )


@pytest.mark.parametrize(
    "old",
    [
        "",
        "step_time: {fixed_s: 1}\n",
        "step_time:\n  fixed_s: 1 # why\n\n  decode_sequence_s: 2\n",
        "step_time: {\nfixed_s: 1, # why\n  decode_sequence_s: 2 }\n",
        "step_time:\n",
        "step_time: # not calibrated\n",
    ],
)
def test_only_the_section_changes_in_a_profile(tmp_path: Path, old: str) -> None:
    before = "# mine\nengine: {embedded_model: smollm2-135m-instruct}\n"
    after = "http:\n  port: 8123 # kept\n"
    file = tmp_path / "p.yaml"
    file.write_text(
        with_section(f"{before}{old}{after}", "step_time", section(found().coefficients))
    )
    profile = load_profile(file)
    assert profile.step_time.fixed_s == pytest.approx(0.02)
    assert profile.http.port == 8123
    assert before in file.read_text()
    assert after in file.read_text()
    assert file.read_text().count("step_time:") == 1


def test_the_report_fits_a_terminal_and_the_json_keeps_its_keys() -> None:
    measured = Measured("m" * 20, steps(), 21, 61.2)
    text = report(measured, found())
    assert max(map(len, text.splitlines())) <= 80
    assert "21.6 ms a token" in text
    told = json.loads(json.dumps(answer(measured, found())))
    assert {"model", "records", "error_median_ratio", "coefficients", "not_told"} <= told.keys()


# -- the command -------------------------------------------------------------------------------


def arguments(**given: Any) -> argparse.Namespace:
    defaults = {"config": None, "url": None, "api_key": None, "seconds": 5.0}
    return argparse.Namespace(**{**defaults, "write": False, "json": False, **given})


def test_bad_arguments_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main(arguments(url="http://x", seconds=0.0)) == 2
    assert command.main(arguments(url="http://x", write=True)) == 2
    assert command.main(arguments(config=tmp_path / "none.yaml")) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_nobody_there_is_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments(url="http://127.0.0.1:9")) == 4
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_too_few_steps_are_no_calibration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        command, "measure_gateway", lambda *_, **__: Measured("m", steps(count=5), 1, 1.0)
    )
    assert command.main(arguments(url="http://x")) == 3
    assert "only 5 steps" in capsys.readouterr().err


# -- a gateway -----------------------------------------------------------------------------------


def with_gateway(state: dict[str, Any] | None, then: Callable[[str], Any]) -> tuple[Any, list[Any]]:
    """Runs `then(url)` in a thread beside a small gateway; returns its value and what was asked.

    It refuses every fourth request, and is an error to whoever would not wait for minutes.
    """
    bodies: list[Any] = []

    async def completions(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        if float(request.headers.get("x-slo-ttft-ms", 0)) < 120_000:
            return web.json_response({}, status=400)
        return web.json_response({}, status=200 if len(bodies) % 4 else 429)

    def tells(document: Any) -> Any:
        async def tell(_: web.Request) -> web.Response:
            return web.json_response(document)

        return tell

    rows = [(s.prefill_tokens, s.decode_sequences, 1, s.context_tokens / 1e6, 1000 * s.elapsed_s)
            for s in steps()]  # fmt: skip
    app = web.Application()
    if state is not None:
        app.router.add_get("/v1/admission/state", tells(state))
    app.router.add_get("/v1/models", tells({"data": [{"id": "tiny"}]}))
    app.router.add_get("/v1/admission/steps", tells({"capacity_tokens": 1_000_000, "rows": rows}))
    app.router.add_post("/v1/completions", completions)

    async def serve() -> Any:
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            return await asyncio.to_thread(then, f"http://127.0.0.1:{port}")
        finally:
            await runner.cleanup()

    return asyncio.run(serve()), bodies


ENGINE = {
    "usable_blocks": 200,
    "block_tokens": 16,
    "max_sequences": 8,
    "max_model_len": 1024,
    "max_batched_tokens": 256,
    "prefix_caching": True,
    "lookahead_tokens": 0,
    "capacity_tokens": 3200,
}
IDLE = {"leases": 0, "queue": {"requests": 0}, "engine": ENGINE}


def measured(url: str) -> Measured:
    return measure_gateway(url, None, seconds=1e9, say=lambda _: None)


def test_a_gateway_is_loaded_and_its_steps_are_read_even_if_it_refuses_some() -> None:
    got, bodies = with_gateway(IDLE, measured)
    assert got.model == "tiny"
    assert fit(got.steps).coefficients.fixed_s == pytest.approx(0.02, rel=0.02)
    assert len(bodies) == sum(batch.sequences for batch in batches(SMALL))
    assert all(body["ignore_eos"] and body["model"] == "tiny" for body in bodies)


def test_a_busy_gateway_is_refused() -> None:
    with pytest.raises(BusyError, match="3 requests run and 0 wait"):
        with_gateway(IDLE | {"leases": 3}, measured)


def test_what_is_no_gateway_of_ours_is_told() -> None:
    with pytest.raises(DownError, match="Sluice gateway"):
        with_gateway(None, measured)
