"""Oracle (c): a linear programme for the number of requests that no schedule can exceed.

x_i in [0, 1] is the share of request i that is served. A request that arrives at u or later and
must end by v does all its work between them, so for every window

    sum x_i w_i <= v - u        its prompt, its decoding, the keys it reads, and its part of c0
    sum x_i p_i <= v - u        its prompt alone, due at its first token

A step of at most B tokens costs c0, so a token costs at least c0 / B. A step holds at most M tokens
of KV, so a token held for a step costs at least c0 / M. These are two constraints, each valid by
itself. Prompt tokens that an earlier request had count as cached and cost nothing. The linear step
times are nowhere above the model's. So the bound is valid, but loose if answers are long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, vstack

from admission.price.footprint import EngineShape
from admission.speed.linear_steps import StepCoefficients
from admission.speed.step import StepContents
from loadtests.lab.oracle.known_engine import length_of
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.workload import TraceRequest, TraceWorkload
from serve.simulated.requests import SHARED_TOKENS

_SHARES = 16  # points over what a step can hold at which the step times are sampled
_EDGES = 48  # instants at which windows begin, and at which they end
_Floats = npt.NDArray[np.float64]


def line_below(seconds: Callable[[StepContents], float], shape: EngineShape) -> StepCoefficients:
    """The highest linear form that is nowhere above the step times."""
    shares = [place / _SHARES for place in range(_SHARES + 1)]
    points, times = [], []
    for decodes, prefill, context in product(shares, shares, shares[:: _SHARES // 4]):
        sequences = round(decodes * shape.max_sequences)
        tokens = round(prefill * (shape.max_batched_tokens - sequences))
        held = round(context * shape.capacity_tokens)
        if sequences + tokens <= 0:
            continue
        contents = StepContents(sequences, held if sequences else 0, tokens)
        points.append((1.0, tokens, sequences, contents.decode_context_tokens))
        times.append(seconds(contents))
    terms, limits = np.array(points, dtype=np.float64), np.array(times)
    scale = terms.max(axis=0)
    found = linprog(-(terms / scale / limits[:, None]).mean(axis=0), terms / scale, limits)
    return StepCoefficients(*(float(value) for value in found.x / scale))


@dataclass(frozen=True, slots=True)
class _Work:
    """Seconds of work, one column per kind with a value per request."""

    arrived: _Floats
    first_due: _Floats
    due: _Floats
    prompt: _Floats
    by_tokens: _Floats
    by_kv: _Floats


def most_served(
    workload: TraceWorkload, line: StepCoefficients, shape: EngineShape, bounds: Bounds
) -> float:
    """The bound on the number of counted requests served in time."""
    work = _work(workload, line, shape, bounds)
    parts = [
        _windows(work.arrived, work.first_due, work.prompt),
        _windows(work.arrived, work.due, work.by_tokens),
        _windows(work.arrived, work.due, work.by_kv),
    ]
    matrix = vstack([part for part, _ in parts])
    limits = np.concatenate([limit for _, limit in parts])
    count = work.arrived.size
    found = linprog(-np.ones(count), matrix, limits, bounds=(0.0, 1.0), method="highs")
    if not found.success:
        raise RuntimeError(f"the linear programme of the bound was not solved: {found.message}")
    return float(-found.fun)


def _work(
    workload: TraceWorkload, line: StepCoefficients, shape: EngineShape, bounds: Bounds
) -> _Work:
    asked = workload.offered
    arrived = np.array([each.arrived_at_s for each in asked])
    prompt = np.array(_new_tokens(workload), dtype=np.float64)
    output = np.array([length_of(each) for each in asked], dtype=np.float64)
    # the prompt's last step gives the first token: one decode fewer than tokens
    decodes = output - 1
    held = prompt * decodes + decodes * (decodes + 1) / 2
    per_token = line.fixed_s / shape.max_batched_tokens
    own = line.prefill_token_s * prompt + line.decode_sequence_s * decodes
    own += line.context_token_s * held
    return _Work(
        arrived=arrived,
        first_due=arrived + bounds.ttft_s,
        due=arrived + bounds.ttft_s + bounds.tpot_s * decodes,
        prompt=(line.prefill_token_s + per_token) * prompt,
        by_tokens=own + per_token * (prompt + decodes),
        by_kv=own + line.fixed_s / shape.capacity_tokens * held,
    )


def _new_tokens(workload: TraceWorkload) -> Sequence[int]:
    """Prompt tokens of the counted requests that no earlier request had."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for request in workload.requests[: workload.counted.stop]:
        known = _known(request, seen)
        seen.update(request.prefix[: end + 1] for end in range(len(request.prefix)))
        found.append(max(1, request.prompt_tokens - SHARED_TOKENS * known))
    return found[workload.counted.start :]


def _known(request: TraceRequest, seen: set[tuple[str, ...]]) -> int:
    known = len(request.prefix)
    while known and request.prefix[:known] not in seen:
        known -= 1
    return known


def _windows(arrived: _Floats, due: _Floats, work: _Floats) -> tuple[csr_matrix, _Floats]:
    """A row per window with the work of the requests inside it, and the window's length."""
    begins = np.unique(np.quantile(arrived, np.linspace(0, 1, _EDGES), method="lower"))
    ends = np.unique(np.quantile(due, np.linspace(0, 1, _EDGES), method="higher"))
    rows, limits = [], []
    for begin, end in product(begins, ends):
        inside = np.where((arrived >= begin) & (due <= end), work, 0.0)
        if inside.sum() > max(0.0, end - begin):  # otherwise it never binds
            rows.append(csr_matrix(inside))
            limits.append(end - begin)
    if not rows:
        return csr_matrix((0, arrived.size)), np.zeros(0)
    return vstack(rows), np.array(limits)
