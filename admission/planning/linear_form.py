"""Fits the roofline of a deployment with the linear form that the gateway learns."""

from itertools import product

from admission.planning.step_model import StepModel
from admission.speed.step import StepContents
from admission.speed.step_fit import StepFit, TimedStep, fit


def linear_form(
    model: StepModel, *, batched_tokens: int = 2048, most_sequences: int = 256
) -> StepFit:
    """Coefficients over the range of steps that an engine runs; the error is the curvature."""
    shares = (0.0, 1 / 16, 1 / 4, 1 / 2, 1.0)
    steps = [
        _timed(model, int(decodes * most_sequences), per_sequence, int(prefill * batched_tokens))
        for decodes, prefill, per_sequence in product(shares, shares, (512, 2048, 8192))
        if decodes or prefill
    ]
    return fit(steps)


def _timed(model: StepModel, sequences: int, per_sequence: int, prefill_tokens: int) -> TimedStep:
    context = sequences * per_sequence
    contents = StepContents(sequences, context, prefill_tokens)
    return TimedStep(prefill_tokens, sequences, context, model.step(contents).total_s)
