"""Compiles structured outputs before a request waits: EngineCore would find faults too late.

vLLM's front end only translates a schema, regex or grammar. EngineCore compiles it when the request
has been accepted, in a thread without a timeout, and a form that nothing can match fails the
request at its first token. So the form is compiled here first, in threads beside the event loop,
with limits on size and time; verdicts are remembered.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.structured_output import StructuredOutputManager
from vllm.v1.structured_output.request import StructuredOutputRequest

from serve.engine.ebnf import endless_rule
from serve.engine.grammar_limits import contradiction, missing_reference, too_large

_T = TypeVar("_T")
_Bits = npt.NDArray[np.uint32]

BOUND_S = 20.0  # a string with a maxLength takes half a second on two cores, each anew
_AT_ONCE = 2  # compiler threads; one that times out keeps its slot until it ends
_REMEMBERED = 256  # verdicts
_WALKED_TOKENS = 100
_TOKEN_S = 0.01  # of one core's time; usual forms take a hundredth of it
_ENDLESS = "The structured output has a part that no finite text matches."
_NOTHING = "The structured output leads to a place where no token may follow."
_SLOW = "The structured output is too ambiguous: finding what may follow takes too long."


class Grammars:
    """One engine's forms of answers, by vLLM's own compiler and the engine's configuration."""

    def __init__(self, config: Any, *, bound_s: float = BOUND_S) -> None:
        self._config = config
        self._bound_s = bound_s
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="grammar")
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._manager: StructuredOutputManager | None = None
        self._verdicts: OrderedDict[bytes, str | None] = OrderedDict()  # None: it can be answered

    def close(self) -> None:
        """Ends without waiting for threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def checked(self, params: SamplingParams, look: Callable[[], list[Any]]) -> list[Any]:
        """What `look` gives: EngineCore's requests, which vLLM validates, and that takes a while.

        Raises what it raises, and VLLMValidationError for a form that cannot be answered.
        """
        form = params.structured_outputs
        _raise(too_large(form) or missing_reference(form))
        name = _name(form, params)
        if name in self._verdicts:
            self._verdicts.move_to_end(name)
            _raise(self._verdicts[name])
            return await self._in_thread(look)
        try:
            checked, verdict = await self._in_thread(lambda: self._looked_at(look))
        except TimeoutError:
            checked, verdict = [], f"Compiling the structured output took over {self._bound_s:g} s."
        self._verdicts[name] = verdict
        if len(self._verdicts) > _REMEMBERED:
            self._verdicts.popitem(last=False)
        _raise(verdict)
        return checked

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Raises TimeoutError after the bound; the thread keeps its slot until it is done."""
        loop = asyncio.get_running_loop()
        await self._turns.acquire()
        running: Future[_T] = self._threads.submit(work)
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._turns.release))
        async with asyncio.timeout(self._bound_s):
            return await asyncio.shield(asyncio.wrap_future(running))

    def _looked_at(self, look: Callable[[], list[Any]]) -> tuple[list[Any], str | None]:
        checked = look()
        params = checked[0].sampling_params
        return checked, self._compiled(params)

    def _compiled(self, params: SamplingParams) -> str | None:
        """What is wrong with a form that vLLM has validated; None when it can be answered."""
        if self._manager is None:
            self._manager = StructuredOutputManager(self._config)
            _compile(self._manager, first_form(self._config))
        try:
            grammar = _compile(self._manager, params)
        except BaseException as fault:  # noqa: BLE001 - by any of them, Rust's panic included
            return f"The structured output cannot be compiled: {first_line(fault)}"
        finally:
            _forget(self._manager.backend)
        compiled = getattr(grammar, "ctx", None)  # of xgrammar
        if compiled is not None and endless_rule(str(compiled.grammar)) is not None:
            return _ENDLESS
        mask = self._manager.backend.allocate_token_bitmask(1)
        ends = self._special() | {*params.all_stop_token_ids}
        return self._contradiction(params, grammar, mask) or _walked(grammar, mask, ends)

    def _contradiction(self, params: SamplingParams, grammar: Any, mask: Any) -> str | None:
        """As `contradiction`; tools that may be called leave the text beside them free."""
        grammar.fill_bitmask(mask, 0)
        ends = any(_is_allowed(_bits(mask), stop) for stop in params.all_stop_token_ids)
        if ends and params.structured_outputs.structural_tag is not None:
            return None
        return contradiction(params, self._special())

    def _special(self) -> frozenset[int]:
        """Tokens that occur in no text."""
        tokenizer = cached_tokenizer_from_config(self._config.model_config)
        return frozenset(tokenizer.all_special_ids)


def first_form(config: Any) -> SamplingParams:
    """A form for the first request of an engine: its backend serves all that come after.

    A schema that xgrammar does not know would make it llguidance, which reads other grammars.
    """
    form = StructuredOutputsParams(choice=["a"])
    params = SamplingParams(max_tokens=1, structured_outputs=form)
    tokenizer = cached_tokenizer_from_config(config.model_config)
    params.verify(config.model_config, None, config.structured_outputs_config, tokenizer)
    return params


def first_line(fault: BaseException) -> str:
    """The first line of an exception's message, or its name."""
    return next(iter(str(fault).splitlines()), "") or type(fault).__name__


def _compile(manager: StructuredOutputManager, params: SamplingParams) -> Any:
    """As EngineCore does it."""
    form = StructuredOutputRequest.from_sampling_params(params)
    request = SimpleNamespace(
        request_id="checked", sampling_params=params, structured_output_request=form
    )
    manager.grammar_init(request)
    return form._grammar.result()  # noqa: SLF001 - the property hides what went wrong


def _walked(grammar: Any, mask: Any, ends: Collection[int]) -> str | None:
    """What comes of one short answer in the form: no token at some place, or one that takes long.

    EngineCore does this between the steps of all its sequences. The same token again and again is
    what an ambiguous grammar has most readings of; `ends`, tokens that end the answer, are avoided.
    """
    allowed, last = _bits(mask), 0
    for _ in range(_WALKED_TOKENS):
        begun_s = time.thread_time()
        grammar.fill_bitmask(mask, 0)
        if not allowed.any():
            return _NOTHING
        for token in ends:
            allowed[token >> 5] &= ~np.uint32(1 << (token & 31))
        if not allowed.any():
            return None
        last = last if _is_allowed(allowed, last) else _lowest(allowed)
        if not grammar.accept_tokens("checked", [last]) or grammar.is_terminated():
            return None
        if time.thread_time() - begun_s > _TOKEN_S:
            return _SLOW
    return None


def _bits(mask: Any) -> _Bits:
    """One bit per token, lowest first; shares the mask's memory."""
    bits: _Bits = mask.numpy()[0].view(np.uint32)
    return bits


def _is_allowed(allowed: _Bits, token: int) -> bool:
    return bool(int(allowed[token >> 5]) >> (token & 31) & 1)


def _lowest(allowed: _Bits) -> int:
    """The first token of a mask that is not empty."""
    word = int(np.flatnonzero(allowed)[0])
    bits = int(allowed[word])
    return word * 32 + (bits & -bits).bit_length() - 1


def _forget(backend: Any) -> None:
    """What xgrammar keeps, up to 512 MB of what it compiled: EngineCore has its own."""
    compiler = getattr(backend, "compiler", None)
    if compiler is not None:
        compiler.clear_cache()


def _name(form: StructuredOutputsParams, params: SamplingParams) -> bytes:
    """Of a form and of what it may contradict."""
    beside = (
        params.min_tokens,
        params.stop_token_ids,
        params.allowed_token_ids,
        params.bad_words,
    )
    return hashlib.sha256(repr((form, beside)).encode()).digest()


def _raise(verdict: str | None) -> None:
    if verdict is not None:
        raise VLLMValidationError(verdict, parameter="structured_outputs")
