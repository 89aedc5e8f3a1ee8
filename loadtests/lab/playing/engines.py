"""Engines of a profile for the lab; every run gets a fresh engine on a core that is reused."""

import logging
from collections.abc import Callable

from admission.price.footprint import EngineShape
from admission.speed.step import StepContents
from admission.terms.settings import Settings
from loadtests.lab.catalogue import EngineFacts
from loadtests.lab.playing.door import Bounds
from serve.engine.arguments import parse_arguments
from serve.engine.shape import shape_of
from serve.engine.start import config_of
from serve.profile.settings import Profile
from serve.service import engine_args
from serve.simulated.in_process import VirtualEngine
from serve.simulated.options import KEY, from_json, seconds_of


class Engines:
    """Engines of one simulated profile. `kv_tokens` replaces the planned size of the KV cache."""

    def __init__(self, profile: Profile, kv_tokens: int | None = None) -> None:
        self._profile = profile
        self._kv_tokens = kv_tokens
        args = parse_arguments(engine_args(profile), profile.server_args)
        self._config = config_of(args, simulated=True)
        self._made: list[VirtualEngine] = []  # closed engines hand their cores to the next
        self._options = from_json(self._config.additional_config[KEY])
        _quiet()  # the configuration resets the levels of vLLM's loggers

    def fresh(self) -> VirtualEngine:
        """An idle engine with an empty cache. ValueError if the model does not fit."""
        blocks = None
        if self._kv_tokens is not None:
            blocks = self._kv_tokens // self._config.cache_config.block_size
        closed = next((engine for engine in self._made if engine.closed), None)
        if closed is not None:
            self._made.remove(closed)
        engine = VirtualEngine(self._config, usable_blocks=blocks, after=closed)
        self._made.append(engine)
        return engine

    @property
    def shape(self) -> EngineShape:
        """What an engine can hold; the first call makes an engine."""
        if not self._made:
            self.fresh().close()
        return shape_of(self._config, self._made[0].kv_groups)

    def facts(self, bounds: Bounds, settings: Settings | None) -> EngineFacts:
        """The inputs for policies; `settings` None = the profile's own."""
        shape = self.shape
        tokens = shape.max_batched_tokens
        step_s = self.seconds(StepContents(prefill_tokens=tokens))
        return EngineFacts(
            shape,
            settings or self._profile.admission.settings(),
            bounds,
            line=self._options.line(batched_tokens=tokens, most_sequences=shape.max_sequences),
            prefill_tokens_per_s=tokens / step_s,
        )

    @property
    def seconds(self) -> Callable[[StepContents], float]:
        """The function that gives the modelled seconds of a step."""
        return seconds_of(self._options.step_time)


def _quiet() -> None:
    """Silences the gate's preemption warnings, which are results here, and vLLM's start-up log."""
    for name in ("sluice", "vllm"):
        logging.getLogger(name).setLevel(logging.ERROR)
