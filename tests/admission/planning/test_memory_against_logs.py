"""The memory model against every collected start-up log: the goals, over whole files."""

import pytest

from admission.planning.memory.estimate import GIB
from tests.admission.planning.memory_cases import (
    Case,
    Error,
    cases,
    error_from_scratch,
    error_given_memory,
    summary,
)
from tests.admission.planning.memory_fit import fitted, held_out_errors
from tests.admission.planning.memory_outliers import (
    FROM_SCRATCH,
    GIVEN_MEMORY,
    NOT_PREDICTABLE,
    predictable,
)


@pytest.fixture(scope="module")
def given() -> list[Error]:
    """Every row that logs both available memory and tokens."""
    return [e for case in cases() if (e := error_given_memory(case))]


@pytest.fixture(scope="module")
def scratch() -> list[Error]:
    """Every row that logs KV and is predictable at all."""
    return [e for case in predictable() if (e := error_from_scratch(case))]


def case(name: str) -> Case:
    return next(c for c in cases() if c.id == name)


def dense(errors: list[Error]) -> list[Error]:
    return [e for e in errors if e.layout_class == "dense"]


def stated(errors: list[Error]) -> list[Error]:
    return [e for e in errors if e.case.states_what_decides]


def test_tokens_follow_from_the_logged_memory_within_one_per_cent(given: list[Error]) -> None:
    assert len(given) >= 100
    assert summary(given).median <= 1.0
    assert summary(given).p90 <= 2.0


@pytest.mark.parametrize("kind", ["dense", "moe", "mla", "sliding"])
def test_each_layout_follows_from_the_logged_memory(given: list[Error], kind: str) -> None:
    assert summary(e for e in given if e.layout_class == kind).median <= 0.05


def test_dense_models_are_predicted_from_scratch_within_three_per_cent(
    scratch: list[Error],
) -> None:
    """Over all rows; the 90th percentile where the row states card, TP, utilization, release."""
    assert len(dense(scratch)) >= 90
    assert summary(dense(scratch)).median <= 3.0
    assert len(stated(dense(scratch))) >= 70
    assert summary(stated(dense(scratch))).p90 <= 8.0


def test_the_goal_holds_with_constants_fitted_to_the_other_half_of_the_logs() -> None:
    held = summary(dense(held_out_errors()))
    assert held.rows >= 70
    assert held.median <= 3.0
    assert held.p90 <= 8.0


def test_halves_of_the_logs_give_nearly_the_same_constants() -> None:
    rows = [c for c in cases() if c.states_what_decides]
    even = fitted([c for c in rows if int(c.id[1:]) % 2 == 0])
    odd = fitted([c for c in rows if int(c.id[1:]) % 2 == 1])
    assert even.triton_sampler == pytest.approx(odd.triton_sampler, rel=0.02)
    assert even.sorting_sampler == pytest.approx(odd.sorting_sampler, rel=0.02)


def test_the_predicted_range_holds_nine_of_ten_stated_rows(scratch: list[Error]) -> None:
    assert summary(stated(scratch)).inside >= 0.9


def test_every_outlier_is_explained_and_every_explanation_is_of_an_outlier(
    given: list[Error], scratch: list[Error]
) -> None:
    assert {e.case.id for e in given if abs(e.ratio) > 0.01} == set(GIVEN_MEMORY)
    assert {e.case.id for e in scratch if abs(e.ratio) > 0.08} == set(FROM_SCRATCH)


@pytest.mark.parametrize("name", sorted(NOT_PREDICTABLE))
def test_rows_that_lack_card_or_ranks_are_refused_not_guessed(name: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        case(name).plan()


@pytest.mark.parametrize("name", ["K151", "K155", "K156"])
def test_hybrids_with_a_draft_head_are_exact_once_it_is_stated(name: str) -> None:
    row = case(name)
    changes = {"kv_cache_dtype": "fp8", "num_speculative_tokens": 3, "draft_layers": 1}
    plan = row.plan(available_gib=row.number("available_kv_gib_per_gpu"), changes=changes)
    assert plan.expected.printed_tokens == pytest.approx(row.number("kv_tokens"), rel=0.003)


def test_weights_of_text_models_are_met_within_one_per_cent() -> None:
    """The log's "Model loading took", rows of dense text models wholly on the GPU."""
    errors = []
    for row in cases():
        logged = row.number("model_load_gib_per_gpu")
        if logged is None or row.id in ("K124", "K139") or not row.figures["gpu"]:
            continue
        plan = row.plan()
        if plan.model.layout_class == "dense" and not plan.model.vision_parameters:
            errors.append(abs(plan.budget.weights.expected / GIB / logged - 1) * 100)
    assert len(errors) >= 60
    assert sorted(errors)[len(errors) // 2] <= 0.1
    assert sorted(errors)[int(len(errors) * 0.95)] <= 1.0


def test_a_utilization_that_contradicts_the_log_is_named_and_the_right_one_fits() -> None:
    row = case("K085")
    kv = row.plan(changes={"gpu_memory_utilization": 0.95}).budget.kv
    assert kv.low / GIB <= 3.33 <= kv.high / GIB
