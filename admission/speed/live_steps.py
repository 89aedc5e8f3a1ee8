"""Step times learned while the engine runs: corrects the linear form of `linear_steps`.

Recursive least squares with forgetting, of relative errors:

    sum over records, the last first, of  fade^age x trust x ((seconds - c.x) / modelled)^2
        + hold x sum over terms of  evidence x (c - c before)^2        all c >= 0

x = (1, prefill tokens, decode sequences, context tokens). The second sum keeps a term where it was
while it has no evidence: an engine that only decodes does not forget what a prompt costs.
A record that errs far more than its neighbours is trusted less (Huber), so a stalled process moves
nothing. Records are processed in batches: a few microseconds each.
"""

from dataclasses import astuple

import numpy as np
import numpy.typing as npt

from admission.speed.linear_steps import StepCoefficients
from admission.speed.non_negative import solve
from admission.speed.step_fit import TimedStep

BATCH = 16  # records between two corrections at most: a second or two of decoding
_BATCH_LEAST = 4  # fewer cannot tell a stalled process from a slow engine
_BATCH_S = 1.0  # of the engine's time, after which so few are enough
# typical error of a batch at which what rests on the coefficients was wrong, too: of the step, and
# times the usual one, so that an uneven engine is no surprise
_SURPRISE_RATIO, _SURPRISE_TIMES = 0.25, 3.0
_HALF_LIFE = 256  # records in which evidence loses half its weight: half a minute of decoding
_PRIOR_RECORDS = 1  # what a prior is worth: of each term one step that consists of it alone
_HOLD = 0.01  # of the most evidence a term ever had
_ENOUGH_RECORDS = 32  # fewer say nothing where there is no prior
_ENOUGH_PROMPT_TOKENS = 2048  # less is a few small steps, mostly overhead
_HUBER = 1.345  # in robust standard deviations: 95 % efficient on clean steps
_SPREAD_LEAST = 0.01  # of a step: agreement below this is chance, not precision
_MODELLED_LEAST = 0.25  # of what a step took: one modelled near zero must not outweigh the rest
_SCALE_LEAST = 0.01  # of what a step took: a prior that is further off has no scale
_ERROR_KEPT = 0.9  # per batch: the reported error covers the last one or two hundred records

_Floats = npt.NDArray[np.float64]


class LiveSteps:
    """`coefficients` are None until there is a prior or enough evidence.

    `error_ratio` is the typical size of recent seconds / modelled - 1, of records that had not
    taught anything yet.
    """

    def __init__(self) -> None:
        self.coefficients: StepCoefficients | None = None
        self.error_ratio: float | None = None
        self.surprised = False  # whether the batch that was taken in last was far off
        self.records = 0
        self._prompt_tokens = 0
        self._batch: list[tuple[float, int, int, int]] = []
        self._seconds: list[float] = []
        self._line: _Floats = np.zeros(4)
        self._gram: _Floats = np.zeros((4, 4))
        self._projected: _Floats = np.zeros(4)
        self._evidence: _Floats = np.zeros(4)  # the most that the diagonal of `_gram` ever was

    def begin_with(self, prior: StepCoefficients) -> None:
        """Start, or start anew, from coefficients of some other source."""
        self._batch.clear()
        self._seconds.clear()
        self._line = np.array(astuple(prior))
        worth = np.zeros(4)
        known = self._line > 0
        worth[known] = _PRIOR_RECORDS / self._line[known] ** 2
        self._gram, self._projected = np.diag(worth), worth * self._line
        self._evidence = worth
        self.coefficients = prior

    def observe(self, step: TimedStep) -> bool:
        """One step; returns whether the coefficients are new now. Steps not timed teach nothing."""
        if step.elapsed_s <= 0 or not (step.prefill_tokens or step.decode_sequences):
            return False
        self._batch.append((1.0, step.prefill_tokens, step.decode_sequences, step.context_tokens))
        self._seconds.append(step.elapsed_s)
        least = _BATCH_LEAST if sum(self._seconds) >= _BATCH_S else BATCH
        if len(self._batch) < least:
            return False
        terms, seconds = np.array(self._batch, dtype=np.float64), np.array(self._seconds)
        self._batch.clear()
        self._seconds.clear()
        self._take_in(terms, seconds)
        return self._correct()

    def _take_in(self, terms: _Floats, seconds: _Floats) -> None:
        errors = self._errors(terms, seconds)
        self._note_error(float(np.median(errors)))
        if self.surprised and not self.records and np.median(terms[:, 1]) > 0:
            modelled = np.maximum(terms @ self._line, _SCALE_LEAST * seconds)
            self._rescale(float(np.median(seconds / modelled)))
            errors = self._errors(terms, seconds)
        modelled = np.maximum(terms @ self._line, _MODELLED_LEAST * seconds)
        spread = max(1.4826 * float(np.median(errors)), _SPREAD_LEAST)
        trust = _HUBER / np.maximum(errors / spread, _HUBER)
        weighed = terms * (trust / modelled**2)[:, None]
        fade = 0.5 ** (seconds.size / _HALF_LIFE)
        self._gram = self._gram * fade + weighed.T @ terms
        self._projected = self._projected * fade + weighed.T @ seconds
        self._evidence = np.maximum(self._evidence, np.diagonal(self._gram))
        self.records += seconds.size
        self._prompt_tokens += int(terms[:, 1].sum())

    def _errors(self, terms: _Floats, seconds: _Floats) -> _Floats:
        modelled = terms @ self._line
        errors: _Floats = np.abs(seconds - modelled)
        errors /= np.maximum(modelled, _MODELLED_LEAST * seconds)
        return errors

    def _rescale(self, factor: float) -> None:
        """A prior that is wrong about prompts is first taken to be wrong as a whole.

        The first steps of a busy engine are alike and cannot say which of its terms it was.
        """
        self._line = self._line * factor
        self._projected = self._projected * factor

    def _note_error(self, error_ratio: float) -> None:
        usual = _SURPRISE_TIMES * (self.error_ratio or 0.0)
        self.surprised = self.coefficients is not None and error_ratio > max(usual, _SURPRISE_RATIO)
        if self.coefficients is not None:
            before = error_ratio if self.error_ratio is None else self.error_ratio
            self.error_ratio = _ERROR_KEPT * before + (1 - _ERROR_KEPT) * error_ratio

    def _correct(self) -> bool:
        hold = _HOLD * self._evidence
        self._line = solve(self._gram + np.diag(hold), self._projected + hold * self._line)
        if self.coefficients is None and not self.proven:
            return False
        self.coefficients = StepCoefficients(*self._line.tolist())
        return True

    @property
    def proven(self) -> bool:
        """Whether prompts were measured on this engine; a prior alone does not count."""
        return (
            self.records >= _ENOUGH_RECORDS
            and self._prompt_tokens >= _ENOUGH_PROMPT_TOKENS
            and bool(self._line[1] > 0)
        )
