"""What we read of vLLM's steps and sequences, say of its messages, and stand in for; no engine.

As in `test_vllm_hooks.py`: a failure after an upgrade says what moved and who stands on it.
"""

import inspect
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from serve.observability.metric_table import STEP_RECORD_FAILURES
from serve.observability.metrics import Metrics

ROOT = Path(__file__).parents[3]

# torch and vLLM warn while they are imported, which happens inside the tests: it takes seconds
pytestmark = pytest.mark.filterwarnings("ignore")

# -- serve/engine/steps.py, serve/gate/sequences.py ---------------------------------------------


def test_a_step_s_statistics_become_what_the_ledger_needs() -> None:
    from vllm.v1.engine import FinishReason  # noqa: PLC0415
    from vllm.v1.metrics.stats import (  # noqa: PLC0415
        FinishedRequestStats,
        IterationStats,
        SchedulerIterationDetails,
        SchedulerStats,
    )

    from serve.engine.steps import _step  # noqa: PLC0415
    from serve.engine_step import Finished  # noqa: PLC0415

    scheduler = SchedulerStats(kv_cache_usage=0.25)
    scheduler.prefix_cache_stats.record(40, 16, preempted=False)
    scheduler.iteration_details = SchedulerIterationDetails(
        iteration_index=1,
        num_ctx_requests=1,
        num_ctx_tokens=24,
        num_generation_requests=2,
        num_generation_tokens=2,
        elapsed_ms=20.0,
    )
    iteration = IterationStats()
    iteration.num_preempted_reqs = 1
    iteration.finished_requests = [
        FinishedRequestStats(FinishReason.LENGTH, "mine", num_generation_tokens=7)
    ]
    step = _step(_processor().request_states, scheduler, iteration, time_scale=1.0)
    assert (step.prefill_tokens, step.cached_tokens, step.decode_tokens) == (24, 16, 2)
    assert (step.elapsed_s, step.kv_used_ratio, step.preempted) == (0.02, 0.25, 1)
    assert step.finished == (Finished("mine", 7, "length", 0.0, 0.0, 0.0, 0),)
    assert str(FinishReason.STOP) == "stop", "gate.py learns lengths from `stop` and `length`"


def test_a_running_sequence_tells_whose_it_is_and_how_far_it_is() -> None:
    processor = _processor()
    processor.add_request(_engine_request("mine-1a2b3c4d", "mine"), "text", None, 1)
    state = processor.request_states["mine-1a2b3c4d"]
    assert (state.external_req_id, state.request_index) == ("mine", 1), "sequences.py adopts by it"
    assert (state.stats.num_generation_tokens, state.stats.num_preemptions) == (0, 0)
    assert state.stats.last_token_ts == 0.0, "steps.py tells by it how old a record is"
    assert processor.get_num_unfinished_requests() == 1
    assert "mine" in processor.external_req_ids, "Engine.abort looks up which ids are unfinished"
    assert processor.abort_requests(["mine"], internal=False) == ["mine-1a2b3c4d"]
    assert processor.get_num_unfinished_requests() == 0
    assert "mine" not in processor.external_req_ids


def test_our_stat_logger_is_one_of_vllm_s() -> None:
    from vllm.v1.metrics import loggers  # noqa: PLC0415

    from serve.engine.steps import StepFeed, _StepLogger  # noqa: PLC0415

    assert isinstance(StepFeed().logger(None, 0), loggers.StatLoggerBase), "abstract methods grew"
    ours, theirs = (
        list(inspect.signature(each.record).parameters)
        for each in (_StepLogger, loggers.StatLoggerBase)
    )
    assert ours == theirs, "StatLoggerBase.record takes other arguments"


def test_a_step_record_that_cannot_be_taken_is_counted_and_raises_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from serve.engine.steps import StepFeed  # noqa: PLC0415

    def refuse(step: Any) -> None:
        raise KeyError(step)

    registry = CollectorRegistry()
    feed = StepFeed()
    feed.output_processor = _processor()
    feed.listener = refuse
    feed.on_failure = partial(Metrics(registry).count, STEP_RECORD_FAILURES)
    feed.logger(None, 0).record(None, None)
    feed.listener = lambda _step: None
    feed.logger(None, 0).record(None, None)
    assert registry.get_sample_value("sluice_step_record_failures_total") == 1
    assert "a step record could not be counted" in caplog.text


def _processor() -> Any:
    from vllm.v1.engine.output_processor import OutputProcessor  # noqa: PLC0415

    return OutputProcessor(None, log_stats=True)


def _engine_request(internal: str, external: str) -> Any:
    from vllm.sampling_params import SamplingParams  # noqa: PLC0415
    from vllm.v1.engine import EngineCoreRequest  # noqa: PLC0415

    return EngineCoreRequest(
        request_id=internal,
        prompt_token_ids=[1, 2, 3],
        mm_features=None,
        sampling_params=SamplingParams(max_tokens=5, detokenize=False),
        pooling_params=None,
        arrival_time=0.0,
        lora_request=None,
        cache_salt=None,
        data_parallel_rank=None,
        external_req_id=external,
    )


# -- serve/engine/reasoning.py, serve/simulated/ ------------------------------------------

_SAY_BOTH_NAMES = """
from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.entrypoints.openai.chat_completion.protocol import (
    ChatCompletionResponseChoice, ChatCompletionResponseStreamChoice, ChatMessage)
from serve.engine.reasoning import add_second_name

add_second_name()
add_second_name()
said = dict(role="assistant", reasoning="why", content="so")
delta, message = DeltaMessage(**said), ChatMessage(**said)
chunk = ChatCompletionResponseStreamChoice(index=0, delta=delta)
choice = ChatCompletionResponseChoice(index=0, message=message)
for text in (
    chunk.model_dump(exclude_unset=True)["delta"],
    choice.model_dump()["message"],
    __import__("json").loads(chunk.model_dump_json(exclude_unset=True))["delta"],
):
    assert text["reasoning"] == text["reasoning_content"] == "why", text
silent = ChatCompletionResponseStreamChoice(index=0, delta=DeltaMessage(content="so"))
assert "reasoning_content" not in silent.model_dump(exclude_unset=True)["delta"]
"""


def test_reasoning_is_said_under_both_names_alone_and_inside_an_answer() -> None:
    # in a process of its own: it changes vLLM's classes for good
    ran = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", _SAY_BOTH_NAMES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"serve/engine/reasoning.py no longer works: {ran.stderr[-2000:]}"


def test_the_simulated_executor_answers_all_that_vllm_asks_of_one() -> None:
    from vllm.v1.executor.abstract import Executor  # noqa: PLC0415

    from serve.simulated.executor import SimulatedExecutor  # noqa: PLC0415

    assert not SimulatedExecutor.__abstractmethods__, "Executor has new abstract methods"
    ours = {name for name in vars(SimulatedExecutor) if not name.startswith("_")}
    unknown = {name for name in ours if not hasattr(Executor, name)}
    assert not unknown, f"vLLM calls none of these any more: {unknown}"
