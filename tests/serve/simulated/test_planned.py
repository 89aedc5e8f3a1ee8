"""From a profile to what the simulated engine is told, and back in its own process."""

import json
from pathlib import Path

import pytest

from admission.planning.step_model import Deployment
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step import StepContents
from serve.models.catalogue import find_config
from serve.profile.settings import Profile, ProfileError, load_profile
from serve.simulated.options import KEY, from_json, seconds_of
from serve.simulated.planned import EXECUTOR, engine_args

PROFILE = Path(__file__).resolve().parents[3] / "configs" / "sim-qwen3-32b-8xa10.yaml"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    config = dict(find_config("Qwen/Qwen3-32B"))
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def changed(**sections: dict[str, object]) -> Profile:
    profile = load_profile(PROFILE)
    updated = {
        name: getattr(profile, name).model_copy(update=values)
        if hasattr(getattr(profile, name), "model_copy")
        else getattr(profile, name) | values
        for name, values in sections.items()
    }
    return profile.model_copy(update=updated)


def test_the_kv_cache_is_the_plans_and_the_step_times_are_the_gpus(model: Path) -> None:
    given = engine_args(load_profile(PROFILE), model)
    assert given["distributed_executor_backend"] == EXECUTOR
    tokens = given["kv_cache_memory_bytes"] // 32_768  # bytes per token and card
    assert 500_000 < tokens < 600_000

    options = from_json(json.loads(json.dumps(given["additional_config"][KEY])))
    assert isinstance(options.step_time, Deployment)
    assert options.step_time.tensor_parallel == 8
    seconds = seconds_of(options.step_time)
    decode, prompt = seconds(StepContents(64, 64 * 2000)), seconds(StepContents(0, 0, 512))
    assert 0.02 < decode < 0.2 < prompt < 2.0


def test_calibrated_step_times_win_over_the_modelled_gpu(model: Path) -> None:
    profile = changed(step_time={"fixed_s": 0.02, "decode_sequence_s": 0.001})
    options = from_json(engine_args(profile, model)["additional_config"][KEY])
    assert options.step_time == StepCoefficients(0.02, 0.0, 0.001, 0.0)
    assert seconds_of(options.step_time)(StepContents(10, 500)) == pytest.approx(0.03)


def test_a_cache_size_that_is_given_is_taken(model: Path) -> None:
    profile = changed(engine_args={"kv_cache_memory_bytes": 123})
    assert engine_args(profile, model)["kv_cache_memory_bytes"] == 123


def test_what_does_not_fit_says_why(model: Path) -> None:
    profile = changed(engine_args={"tensor_parallel_size": 1}, simulation={"quantization": None})
    with pytest.raises(ValueError, match=r"a10 x 1: .* GiB per GPU more than"):
        engine_args(profile, model)


@pytest.mark.parametrize(
    ("simulation", "message"),
    [
        ("{}", "nothing says how long steps take"),
        ("{gpu: a11}", "a11"),
        ("{gpu: a10, speed: 0}", r"simulation\.speed"),
        ("{gpu: a10, output_tokens: {median: 50, p90: 20}}", "20 is below the median, 50"),
        ("{gpu: a10, link: rope}", r"simulation\.link"),
    ],
)
def test_a_bad_simulation_is_refused_before_anything_starts(
    tmp_path: Path, simulation: str, message: str
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        f"engine: {{kind: simulated, embedded_model: qwen3-32b}}\nsimulation: {simulation}\n"
    )
    with pytest.raises(ProfileError, match=message):
        load_profile(file)


def test_an_embedded_model_without_weights_needs_the_simulated_engine(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("engine: {embedded_model: qwen3-32b}\n")
    with pytest.raises(ProfileError, match="without weights"):
        load_profile(file)


def test_a_simulated_engine_takes_no_gpu_and_scales_time() -> None:
    profile = changed(simulation={"speed": 4.0})
    assert (profile.gpus_per_replica, profile.time_scale) == (0.0, 4.0)
