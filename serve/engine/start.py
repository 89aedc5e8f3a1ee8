"""Starts one vLLM engine and its OpenAI app, and reads its capacity."""

import asyncio
import logging
import uuid
from argparse import Namespace
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from starlette.types import ASGIApp
from vllm import envs
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.app import build_app
from vllm.inputs import TokensPrompt
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM

from admission.price.footprint import EngineShape, RequestShape
from serve.engine import answer_fixes, explain, hooks, merging, reasoning
from serve.engine.client import Keeper, LeasedClient
from serve.engine.executor import PATIENT
from serve.engine.facts import facts_of
from serve.engine.forced_calls import hold_forced_calls
from serve.engine.grammars import Grammars, first_form
from serve.engine.prefix_hasher import PrefixHasher
from serve.engine.shape import GROUPS, EngineStartError, shape_of
from serve.engine.steps import Listener, StepFeed

_log = logging.getLogger("sluice.engine")


class Engine:
    """One running vLLM engine. `app` answers only after `attach`."""

    def __init__(
        self,
        client: AsyncLLM,
        args: Namespace,
        feed: StepFeed,
        *,
        shape: EngineShape,
        simulated: bool = False,
    ) -> None:
        self._client = client
        self._simulated = simulated
        self._grammars: Grammars | None = None
        self.args = args  # as vLLM's parser made them of the profile
        self._feed = feed
        self.shape = shape
        self.facts = facts_of(client.vllm_config)
        self.served_model = _served_model(args)
        self.app: ASGIApp | None = None
        self._state: Any = None

    async def attach(self, keeper: Keeper) -> None:
        """Build vLLM's app around a client that knows leases, and let steps flow to the gate."""
        tasks = await self._client.get_supported_tasks()
        # the gateway's own layer tells browsers what they may read, on every answer
        inner = Namespace(**{**vars(self.args), "allowed_origins": []})
        app = build_app(inner, tasks, self._client.model_config)
        config = self._client.vllm_config
        self._grammars = Grammars(config)
        leased = LeasedClient(
            self._client,
            keeper,
            self._grammars,
            hasher=_hasher(config, self.shape),
            logprobs=not self._simulated,
        )
        await self._fix_backend()
        await init_app_state(leased, app.state, self.args, tasks)
        app.state.server = SimpleNamespace()  # vLLM's engine-error handler writes to it
        hooks.install(app.state, keeper)
        answer_fixes.install(app.state)
        hold_forced_calls(app.state)
        merging.keep_prompt_logprobs()
        if self.args.structured_outputs_config.reasoning_parser:
            reasoning.add_second_name()
        # otherwise vLLM reads its environment again for every chunk
        envs.enable_envs_cache()
        self._state, self.app = app.state, app
        listener: Listener = keeper.stepped
        self._feed.listener = listener
        self._feed.on_failure = keeper.step_lost

    @property
    def errored(self) -> bool:
        """Whether the engine has died."""
        return bool(self._client.errored)

    async def ping(self) -> None:
        """Returns once EngineCore has answered, however long that takes.

        It answers in order, so it has processed every earlier abort. Workers are not pinged: they
        spin for a second after each message.
        """
        await self._client.is_sleeping()

    def kill(self) -> None:
        """End EngineCore at once, also a stopped one; vLLM then reports it as dead.

        A worker that outlives it ends with the replica (`serve.process.orphans`).
        """
        processes = self._client.engine_core.resources.engine_manager.processes
        for process in processes:
            process.kill()

    async def abort(self, engine_ids: Sequence[str]) -> int:
        """End those of our engine requests that are unfinished; returns how many there were."""
        known = self._client.output_processor.external_req_ids
        alive = [engine_id for engine_id in engine_ids if engine_id in known]
        if alive and not self.errored:
            await self._client.abort(alive)
        return len(alive)

    @property
    def unfinished(self) -> int:
        """Sequences the front end still follows."""
        return int(self._client.output_processor.get_num_unfinished_requests())

    async def shape_of_body(
        self, route: str, body: dict[str, Any], *, waits: Callable[[], None]
    ) -> RequestShape:
        """Shape of a body as it would run; ValueError with vLLM's words when it is invalid.

        Calls `waits` once it is rendered, if a form has still to be compiled.
        """
        return await explain.shape_of_body(self._state, route, body, waits=waits)

    def fault_in(self, route: str, body: dict[str, Any]) -> str | None:
        """What vLLM's parser finds wrong with a body of one of its routes; None: nothing."""
        return explain.fault_in(route, body)

    async def models(self) -> list[dict[str, Any]]:
        """The entries of vLLM's `/v1/models`."""
        listed = await self._state.openai_serving_models.show_available_models()
        entries: list[dict[str, Any]] = listed.model_dump()["data"]
        return entries

    def listen(self, listener: Listener) -> None:
        """Let steps flow to `listener` alone: for an engine without a gate."""
        self._feed.listener = listener

    async def run(self, prompt: Sequence[int], output_tokens: int) -> None:
        """Computes a prompt of token ids and `output_tokens` more, without a gate; for measuring.

        Sampled as by default: on a CPU top-p takes longer than the model's step.
        """
        usual = dict(self._client.model_config.get_diff_sampling_param())
        usual.pop("max_tokens", None)
        sampling = SamplingParams(
            **usual,
            max_tokens=output_tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        request = TokensPrompt(prompt_token_ids=list(prompt))
        async for _ in self._client.generate(request, sampling, f"measure-{uuid.uuid4().hex}"):
            pass

    @property
    def vocabulary(self) -> int:
        """Token ids that the model knows."""
        return int(self._client.model_config.get_vocab_size())

    async def ask_executor(self, method: str) -> Any:
        """What the executor's first rank answers; for executors of our own."""
        return (await self._client.collective_rpc(method))[0]

    def close(self) -> None:
        """End EngineCore and its workers."""
        if self._grammars is not None:
            self._grammars.close()
        self._client.shutdown()

    async def _fix_backend(self) -> None:
        """One token in the form that makes EngineCore take the backend which serves all forms."""
        form = first_form(self._client.vllm_config)
        request = TokensPrompt(prompt_token_ids=[0])
        async for _ in self._client.generate(request, form, f"first-form-{uuid.uuid4().hex}"):
            pass


async def start(args: Namespace, *, simulated: bool = False, time_scale: float = 1.0) -> Engine:
    """Start EngineCore and read its KV cache. Raises EngineStartError where it cannot be priced.

    `time_scale` modelled seconds pass in a second of a `simulated` engine.
    """
    feed = StepFeed(time_scale)
    config = config_of(args, simulated=simulated)
    # vLLM logs averages, and with iteration details a line per step: /metrics has both.
    # Only now: the configuration above resets the levels of vLLM's loggers.
    logging.getLogger("vllm.v1.metrics.loggers").setLevel(logging.WARNING)
    # building the client blocks until EngineCore is up: not on the loop that answers health checks
    client = await asyncio.to_thread(AsyncLLM.from_vllm_config, config, stat_loggers=[feed.logger])
    feed.output_processor = client.output_processor
    try:
        groups = await client.engine_core.call_utility_async(GROUPS)
        shape = shape_of(client.vllm_config, groups)
    except BaseException:
        client.shutdown()
        raise
    return Engine(client, args, feed, shape=shape, simulated=simulated)


def config_of(args: Namespace, *, simulated: bool) -> Any:
    """The VllmConfig of the engine. Raises EngineStartError if it cannot be priced."""
    args.enable_logging_iteration_details = True  # the only source for the prefill backlog
    args.disable_log_stats = False  # the ledger is corrected from them
    if current_platform.is_cpu() and args.distributed_executor_backend is None:
        args.distributed_executor_backend = PATIENT
    config = AsyncEngineArgs.from_cli_args(args).create_engine_config(
        usage_context=UsageContext.OPENAI_API_SERVER
    )
    if simulated and args.async_scheduling:
        # vLLM's build for CPUs always switches it off; our simulated executor needs it.
        config.scheduler_config.async_scheduling = True
    _refuse_unpriced(config)
    return config


def _refuse_unpriced(config: Any) -> None:
    parallel = config.parallel_config
    if parallel.data_parallel_size > 1:
        raise EngineStartError(
            "data_parallel_size: one gateway replica owns one engine; set engine.replicas instead"
        )
    if parallel.decode_context_parallel_size > 1 or parallel.prefill_context_parallel_size > 1:
        raise EngineStartError("context parallelism splits blocks over GPUs: not priced yet")
    if config.kv_transfer_config is not None:
        raise EngineStartError("KV transfer moves blocks outside the ledger: not priced yet")


def _hasher(config: Any, shape: EngineShape) -> PrefixHasher | None:
    """What names prompts; None where the engine shares less of them than it could.

    Without its cache nothing; with speculation a block less; and where several long prompts are
    computed at once each may compute what they have in common.
    """
    at_once = config.scheduler_config.long_prefill_token_threshold > 0
    if not shape.prefix_caching or config.speculative_config is not None or at_once:
        return None
    return PrefixHasher(shape)


def _served_model(args: Namespace) -> str:
    names = args.served_model_name
    return str(names[0] if names else args.model)
