"""Measured step times of others beside the model's, every row, bad ones included; then the A10s.

.venv/bin/python -m tests.bench.step_time
"""

from admission.planning.gpus import Link
from admission.planning.step_model import Deployment, StepModel, Weights
from admission.speed.step import StepContents
from tests.admission.planning.step_time_cases import SHAPES, Case, cases, median_error, speeds_of
from tests.bench.report import table

CONTEXT_TOKENS = 2048


def main() -> None:
    """Print the table, the medians, and what the model says of Qwen3-32B INT4 on eight A10s."""
    all_cases = cases()
    print(table(("row", "measured ms", "modelled ms", "error", "use", "note"), _rows(all_cases)))
    for use in ("fitted", "sound", "doubtful"):
        chosen = [case for case in all_cases if case.use == use and case.error_ratio is not None]
        print(f"\n{use}: median error {median_error(chosen):.1%} of {len(chosen)} rows")
    modelled = [case for case in all_cases if case.error_ratio is not None]
    print(f"\nall: median error {median_error(modelled):.1%} of {len(modelled)} rows")
    for link in (Link.PCIE4, Link.PCIE4_P2P):
        print(f"\nQwen3-32B INT4 on 8 x A10, {link}: ms a step (share of all-reduces)\n")
        print(table(("step", "1 x TP 8", "2 x TP 4", "4 x TP 2"), _layouts(link)))


def _layouts(link: Link) -> list[tuple[str, ...]]:
    """Decodes in all, shared out evenly; and a full chunk on each engine."""
    shape, gpu = SHAPES["Qwen3-32B"], speeds_of("A10")
    a10s = [
        (engines, StepModel(Deployment(shape, gpu, Weights.INT4, 8 // engines, link=link)))
        for engines in (1, 2, 4)
    ]
    rows = [
        (f"{decodes} decodes at 2k", *(_step(model, -(-decodes // count)) for count, model in a10s))
        for decodes in (1, 16, 64, 128, 256)
    ]
    return [*rows, ("2,048 prompt tokens", *(_step(model, 0, 2048) for _, model in a10s))]


def _step(model: StepModel, decodes: int, prompt_tokens: int = 0) -> str:
    step = model.step(StepContents(decodes, decodes * CONTEXT_TOKENS, prompt_tokens))
    return f"{step.total_s * 1e3:.1f} ({step.all_reduce_ratio:.0%})"


def _rows(of: list[Case]) -> list[tuple[str, ...]]:
    return [
        (case.name, _ms(case.measured_s), _ms(case.modelled_s), _error(case), case.use, case.note)
        for case in of
    ]


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.1f}"


def _error(case: Case) -> str:
    return "-" if case.error_ratio is None else f"{case.error_ratio:+.0%}"


if __name__ == "__main__":
    main()
