"""A profile with a simulated engine -> the vLLM arguments by which it runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from admission.planning.gpus import Link, find_gpu
from admission.planning.join import step_model
from admission.planning.memory.budget import MemoryPlan, plan_memory
from admission.planning.memory.engine.spelled import engine_arguments, read_value
from admission.planning.memory.model.config_json import overridden
from admission.planning.step_model import Deployment
from serve.models.model_file import read_model
from serve.profile.settings import Profile, SimulationSection
from serve.simulated.answers import Lengths
from serve.simulated.options import KEY, Options

EXECUTOR = "serve.simulated.executor.SimulatedExecutor"


def engine_args(profile: Profile, model: Path) -> dict[str, Any]:
    """What the simulation adds to the profile's engine arguments: executor, options, KV cache.

    `model` is a folder with a config.json. Raises ValueError where the model does not fit.
    """
    given, simulation = profile.engine_args, profile.simulation
    plan = _plan(given, simulation, model)
    options = Options(
        speed=simulation.speed,
        seed=simulation.seed,
        lengths=Lengths(simulation.output_tokens.median, simulation.output_tokens.p90),
        step_time=profile.step_time.coefficients or _modelled(plan, simulation),
    )
    return {
        "kv_cache_memory_bytes": read_value(
            "kv_cache_memory_bytes", given.get("kv_cache_memory_bytes")
        )
        or (plan and int(plan.budget.kv.expected)),
        "distributed_executor_backend": EXECUTOR,
        "additional_config": {KEY: options.as_json()},
    }


def _plan(
    given: Mapping[str, Any], simulation: SimulationSection, model: Path
) -> MemoryPlan | None:
    """The memory plan of the modelled GPUs; None where no GPU is modelled."""
    if simulation.gpu is None:
        return None
    arguments = engine_arguments(given, quantization=simulation.quantization)
    config = overridden(read_model(model), given.get("hf_overrides") or {})
    plan = plan_memory(config, find_gpu(simulation.gpu), arguments)
    if plan.misfit and "kv_cache_memory_bytes" not in given:
        raise ValueError(f"{simulation.gpu} x {plan.engine.tp * plan.engine.pp}: {plan.misfit}")
    return plan


def _modelled(plan: MemoryPlan | None, simulation: SimulationSection) -> Deployment:
    link = None if simulation.link is None else Link(simulation.link)
    model = None if plan is None else step_model(plan, link)
    if model is None:
        raise ValueError(f"the speed of {simulation.gpu} is not known here: give step_time")
    return model.deployment
