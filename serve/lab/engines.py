"""A profile's engine for the lab: made once per process, a fresh one for every run."""

import logging

from admission.settings import Settings
from admission.step_time import StepContents
from serve.engine.arguments import parse_arguments
from serve.engine.start import config_of, shape_of
from serve.lab.catalogue import Facts
from serve.lab.door import Bounds
from serve.profile.settings import Profile
from serve.service import engine_args
from serve.simulated.in_process import VirtualEngine
from serve.simulated.options import KEY, from_json, seconds_of


class Engines:
    """Engines of one simulated profile. `kv_tokens` replaces the planned size of the KV cache."""

    def __init__(self, profile: Profile, kv_tokens: int | None = None) -> None:
        if not profile.engine.simulated:
            raise ValueError("engine.kind: the lab runs simulated engines; see configs/sim-*.yaml")
        logging.getLogger("vllm").setLevel(logging.WARNING)
        self._profile = profile
        self._kv_tokens = kv_tokens
        args = parse_arguments(engine_args(profile), profile.server_args)
        self._config = config_of(args, simulated=True)
        logging.getLogger("vllm").setLevel(logging.WARNING)  # the configuration resets it

    def fresh(self) -> VirtualEngine:
        """An idle engine with an empty cache. ValueError where the model does not fit."""
        blocks = None
        if self._kv_tokens is not None:
            blocks = self._kv_tokens // self._config.cache_config.block_size
        return VirtualEngine(self._config, usable_blocks=blocks)

    def facts(self, bounds: Bounds, settings: Settings | None) -> Facts:
        """What policies are made from, by default with the profile's own settings.

        To be asked after an engine was made: it says how many blocks there are.
        """
        shape = shape_of(self._config)
        options = from_json(self._config.additional_config[KEY])
        tokens = shape.max_batched_tokens
        step_s = seconds_of(options.step_time)(StepContents(prefill_tokens=tokens))
        settings = settings or self._profile.admission.settings()
        return Facts(shape, settings, bounds, tokens / step_s)


def log_quietly() -> None:
    """The gate's warnings of preemptions are a result here, not news."""
    logging.getLogger("sluice").setLevel(logging.ERROR)
