"""Variants of the gateway's admission: one without early refusal, one with wrong lengths."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loadtests.lab.playing.door import Door, Ruling
from loadtests.lab.playing.fifo import TIMED_OUT
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.workload import TraceRequest
from serve.engine_step import EngineStep

_NEVER_S = 1e6
_SEED = 5  # of the length errors


class Patient(OurGateway):
    """No early refusal: a queued request is refused only when its first token is due."""

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Refuses requests whose time is up, then offers the new one."""
        return [*self._timed_out(now_s), *super().offer(request, now_s)]

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Refuses requests whose time is up, then takes the step."""
        return [*self._timed_out(now_s), *super().stepped(step, now_s)]

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Refuses requests whose time is up, then takes the tick."""
        return [*self._timed_out(now_s), *super().tick(now_s)]

    def _deadline_s(self, request: TraceRequest) -> float:  # noqa: ARG002 - as the gateway's
        return _NEVER_S

    def _timed_out(self, now_s: float) -> list[Ruling]:
        late = {
            visit: request.number
            for visit, request in self._requests.items()
            if now_s >= request.arrived_at_s + super(Patient, self)._deadline_s(request)
        }
        for visit in late:
            self._desk.leave_queue(visit, now_s)
            del self._requests[visit]
        return [Ruling(number, TIMED_OUT) for number in late.values()]


class Mistaken:
    """Gives a policy that knows lengths wrong ones: times exp(sigma z), with z normal.

    The z of a request is the same in every run.
    """

    def __init__(self, door: Door, sigma: float) -> None:
        self._door = door
        self._sigma = sigma

    @property
    def waiting(self) -> int:
        """Queued requests."""
        return self._door.waiting

    def offer(self, request: TraceRequest, now_s: float) -> Sequence[Ruling]:
        """Offers the request with a wrong length."""
        z = float(np.random.default_rng((_SEED, request.number)).standard_normal())
        length = min(request.output_tokens, request.max_tokens)
        guess = max(1, round(length * math.exp(self._sigma * z)))
        return self._door.offer(replace(request, output_tokens=guess), now_s)

    def stepped(self, step: EngineStep, now_s: float) -> Sequence[Ruling]:
        """Passes the step on unchanged."""
        return self._door.stepped(step, now_s)

    def tick(self, now_s: float) -> Sequence[Ruling]:
        """Passes the tick on."""
        return self._door.tick(now_s)
