"""The committed profiles and the refused names, held against vLLM's own argument parser."""

from pathlib import Path

import pytest

from serve.commands.check import check
from serve.profile import refused_arguments
from serve.profile.settings import load_profile

pytestmark = [
    pytest.mark.live,  # importing vLLM takes seconds; no engine is started
    pytest.mark.filterwarnings("default"),  # torch and vLLM warn while they are imported
]

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("name", ["smollm2-cpu", "qwen3-32b-awq-8xa10", "sim-qwen3-32b-8xa10"])
def test_vllm_takes_every_argument_of_a_committed_profile(name: str) -> None:
    assert check(CONFIGS / f"{name}.yaml") == []


def test_vllm_hears_the_values_that_the_production_profile_says() -> None:
    from serve.engine.arguments import parse_arguments  # noqa: PLC0415 - vLLM

    profile = load_profile(CONFIGS / "qwen3-32b-awq-8xa10.yaml")
    parsed = vars(parse_arguments(profile.engine_args, profile.server_args))
    for name, value in (profile.engine_args | profile.server_args).items():
        assert parsed[name] == value, name


def test_a_misspelled_argument_is_told_with_file_and_section(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("engine_args: {model: x, max_model_length: 4096}\n")
    (problem,) = check(file)
    assert problem.startswith(f"{file}: engine_args.max_model_length: ")


def test_a_value_of_the_wrong_kind_is_told_with_file_and_argument(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("engine_args: {model: x, max_num_seqs: many}\n")
    problem = " ".join(check(file))
    assert problem.startswith(str(file))
    assert "max-num-seqs" in problem


def test_every_refused_argument_still_exists_in_vllm() -> None:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser  # noqa: PLC0415 - vLLM
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415 - vLLM

    known = {action.dest for action in make_arg_parser(FlexibleArgumentParser())._actions}
    assert refused_arguments.REASONS.keys() <= known
