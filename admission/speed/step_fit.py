"""Step records -> seconds as a linear form: what `calibrate` writes and a running gateway corrects.

seconds = fixed + per decode x sequences + per prefill x tokens + per context x tokens

This fits a log of steps once and gives up its outliers; `LiveSteps` follows an engine that changes.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from admission.speed.linear_steps import StepCoefficients
from admission.speed.non_negative import solve

TERMS = ("fixed", "prefill", "decode", "context")  # in the order in which they are separated
FEWEST_STEPS = 20  # with fewer, one slow step would move a coefficient by more than the prior errs
OWN_SHARE = 0.05  # least part of a term that the terms before it cannot imitate
HUBER, TUKEY = 1.345, 4.685  # in robust standard deviations; 95 % efficient on clean steps
ROUNDS = 15

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TimedStep:
    """One step as the engine reported it; context is what its sequences hold in the KV cache."""

    prefill_tokens: int
    decode_sequences: int
    context_tokens: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class StepFit:
    """Coefficients and how far to trust them.

    Errors are sizes of modelled / measured - 1 over all records, outliers included. Terms
    `not_told` have no variation of their own in these records: their coefficients are the prior's,
    or 0. With `enough` false there were too few and all coefficients are the prior's.
    """

    coefficients: StepCoefficients
    records: int
    outliers: int
    error_median_ratio: float
    error_p90_ratio: float
    not_told: tuple[str, ...]
    enough: bool


def fit(steps: Sequence[TimedStep], prior: StepCoefficients | None = None) -> StepFit:
    """Non-negative least squares of relative errors, outliers weighed down (Huber, then Tukey).

    Records that are not timed are left out. Without a prior, too few records give their median as
    the fixed term.
    """
    timed = [step for step in steps if 0 < step.elapsed_s < np.inf]
    terms = np.array(
        [(1.0, step.prefill_tokens, step.decode_sequences, step.context_tokens) for step in timed],
        dtype=np.float64,
    ).reshape(-1, len(TERMS))
    elapsed = np.array([step.elapsed_s for step in timed], dtype=np.float64)
    enough = len(timed) >= FEWEST_STEPS
    separable = _separable(terms, elapsed) if enough else []
    known = _known(prior, elapsed, enough=enough)
    known[separable] = 0.0
    if separable:
        known[separable] = _robust(terms[:, separable], elapsed, terms @ known)
    return _result(known, terms, elapsed, separable, enough=enough)


def _known(prior: StepCoefficients | None, elapsed: _Floats, *, enough: bool) -> _Floats:
    """Coefficients before any is fitted, in the order of TERMS."""
    if prior is not None:
        return np.array(astuple(prior))
    fixed_s = float(np.median(elapsed)) if elapsed.size and not enough else 0.0
    return np.array((fixed_s, 0.0, 0.0, 0.0))


def _separable(terms: _Floats, elapsed: _Floats) -> list[int]:
    """Terms with variation of their own, each against those before it, weighted as in the fit."""
    separable: list[int] = []
    weighed = terms / elapsed[:, None]
    for term in range(len(TERMS)):
        column = weighed[:, term]
        size = float(np.linalg.norm(column))
        if separable and size:
            others = weighed[:, separable] / np.linalg.norm(weighed[:, separable], axis=0)
            imitated = others @ np.linalg.lstsq(others, column, rcond=None)[0]
            if np.linalg.norm(column - imitated) < OWN_SHARE * size:
                continue
        if size:
            separable.append(term)
    return separable


def _robust(terms: _Floats, elapsed: _Floats, known_s: _Floats) -> _Floats:
    """Coefficients of `terms`, by reweighting; `known_s` is what other terms already explain."""
    modelled = elapsed
    trust = np.ones_like(elapsed)
    least = 0.1 * float(np.median(elapsed))  # a step modelled near zero must not outweigh the rest
    for turn in range(2 * ROUNDS):
        weights = np.sqrt(trust) / np.maximum(modelled, least)
        weighed = terms * weights[:, None]
        found = solve(weighed.T @ weighed, weighed.T @ ((elapsed - known_s) * weights))
        modelled = terms @ found + known_s
        trust = _trust(_errors(modelled, elapsed, least), turn)
    return found


def _errors(modelled: _Floats, elapsed: _Floats, least: float) -> _Floats:
    errors: _Floats = (elapsed - modelled) / np.maximum(modelled, least)
    return errors


def _trust(errors: _Floats, turn: int) -> _Floats:
    """Weight of each record, 0 to 1: at first Huber's, which never gives one up, then Tukey's."""
    spread = max(1.4826 * float(np.median(np.abs(errors))), 1e-9)
    distance = np.abs(errors) / spread
    trust: _Floats
    if turn < ROUNDS:
        trust = HUBER / np.maximum(distance, HUBER)
    else:
        trust = np.maximum(0.0, 1 - (distance / TUKEY) ** 2) ** 2
    return trust


def _result(
    found: _Floats, terms: _Floats, elapsed: _Floats, separable: Sequence[int], *, enough: bool
) -> StepFit:
    errors = np.abs(terms @ found / elapsed - 1) if elapsed.size else np.zeros(1)
    median, p90 = (float(value) for value in np.quantile(errors, (0.5, 0.9)))
    spread = max(1.4826 * median, 1e-9)
    not_told = tuple(name for term, name in enumerate(TERMS) if term not in separable)
    return StepFit(
        coefficients=StepCoefficients(*(float(value) for value in found)),
        records=len(elapsed),
        outliers=int(np.count_nonzero(errors > TUKEY * spread)) if elapsed.size else 0,
        error_median_ratio=median,
        error_p90_ratio=p90,
        not_told=not_told,
        enough=enough,
    )
