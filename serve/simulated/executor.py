"""An executor that models time in place of weights: the simulation's interface to vLLM.

vLLM calls two methods per step: `execute_model` with the scheduler's order, then `sample_tokens`
with the tokens that grammars allow. It answers with tokens when the modelled step is over.
"""

import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
from vllm.v1.outputs import EMPTY_MODEL_RUNNER_OUTPUT, ModelRunnerOutput

from serve.simulated.answers import FILLER, IN_TEXT, OUTSIDE, Answers, Words
from serve.simulated.no_weights import NoWeights
from serve.simulated.options import KEY, from_json, seconds_of
from serve.simulated.steps import Reading, StepReader
from serve.simulated.timekeeper import REPORT, Timekeeper

_SWITCH_S = 0.0005


class SimulatedExecutor(NoWeights):
    """One token for every sequence that is due, when the modelled step is over."""

    def _init_executor(self) -> None:
        options = from_json(self.vllm_config.additional_config[KEY])
        self._seconds = seconds_of(options.step_time)
        self._time = Timekeeper(options.speed)
        self._answers = Answers(self._words(), options.lengths, seed=options.seed)
        self._reader = StepReader(self._answers.produced)
        self._ordered: tuple[SchedulerOutput, Reading, tuple[float, float]] | None = None
        # A thread that wakes up waits for the GIL while the scheduler runs: up to 5 ms by default,
        # half a step at speed 4.
        sys.setswitchinterval(_SWITCH_S)
        # as a real executor's: the engine core goes on while it waits for the answer
        self._gpu = ThreadPoolExecutor(1, thread_name_prefix="simulated-gpu")

    def _words(self) -> Words:
        tokenizer = cached_tokenizer_from_config(self.model_config)

        def ids(texts: Iterable[str]) -> list[int]:
            encoded = (tokenizer.encode(text, add_special_tokens=False) for text in texts)
            return [each[0] for each in encoded if len(each) == 1]

        return Words(
            filler=tokenizer.encode(FILLER, add_special_tokens=False),
            in_text=ids(IN_TEXT),
            outside=ids(OUTSIDE),
            eos=tokenizer.eos_token_id,
            spell=lambda token: str(tokenizer.decode([token])),
        )

    def collective_rpc(self, method: Any, *_: Any, **__: Any) -> Any:
        """The engine's calls to its workers, and our own report."""
        return [self._time.report()] if method == REPORT else super().collective_rpc(method)

    def shutdown(self) -> None:
        """Ends the thread that keeps time."""
        self._gpu.shutdown(wait=False)

    # -- a step ----------------------------------------------------------------------------

    def execute_model(self, scheduler_output: SchedulerOutput, non_block: bool = False) -> Any:
        """Begins a step. The answer is None, and tokens follow; or empty when none are due."""
        self._forget(scheduler_output)
        if not scheduler_output.total_num_scheduled_tokens:
            return _done(EMPTY_MODEL_RUNNER_OUTPUT, non_block)
        for new in scheduler_output.scheduled_new_reqs:
            self._answers.begin(new.req_id, new.sampling_params)
        self._reader.begin(scheduler_output)
        reading = self._reader.read(scheduler_output)
        times = self._time.schedule(self._seconds(reading.contents), goes_on=reading.goes_on)
        self._ordered = scheduler_output, reading, times
        return _done(None, non_block)

    def sample_tokens(self, grammar_output: GrammarOutput | None, non_block: bool = False) -> Any:
        """The tokens of the step that was begun last, when it is over."""
        if self._ordered is None:
            raise RuntimeError("tokens were asked for without a step")
        order, reading, (start_s, end_s) = self._ordered
        self._ordered = None
        output = self._output(order, reading, grammar_output)

        def over() -> ModelRunnerOutput:
            self._time.wait(start_s, end_s)
            return output

        step = self._gpu.submit(over)
        return step if non_block else step.result()

    def _output(
        self, order: SchedulerOutput, reading: Reading, grammar: GrammarOutput | None
    ) -> ModelRunnerOutput:
        allowed = {}
        if grammar is not None:
            rows = zip(grammar.structured_output_request_ids, grammar.grammar_bitmask, strict=True)
            allowed = dict(rows)
        said = {key: [self._answers.next_token(key, allowed.get(key))] for key in reading.sampled}
        ids = list(order.num_scheduled_tokens)
        return ModelRunnerOutput(
            req_ids=ids,
            req_id_to_index={key: position for position, key in enumerate(ids)},
            sampled_token_ids=[said.get(key, []) for key in ids],
        )

    def _forget(self, order: SchedulerOutput) -> None:
        self._reader.end(order)
        for key in order.finished_req_ids:
            self._answers.end(key)


def _done(answer: ModelRunnerOutput | None, non_block: bool) -> Any:
    if not non_block:
        return answer
    future: Future[ModelRunnerOutput | None] = Future()
    future.set_result(answer)
    return future
