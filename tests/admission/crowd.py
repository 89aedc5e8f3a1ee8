"""Ten tenants in front of the tiny engine, one of them greedy: what becomes of the others.

.venv/bin/python -m tests.admission.crowd
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from admission.terms.settings import Settings
from tests.admission.examples import engine
from tests.admission.traffic import Job, Traffic

TENANTS = 10
GREEDY = "0"
OFFERED_S = 120.0
DEADLINE_S = 30.0  # the default
# ten such tenants are served in full, see tests/bench/fairness.py
SHARE_PER_S = 0.4

SHAPE = engine(usable_blocks=1_200, max_sequences=64, max_model_len=4_096, max_batched_tokens=1_024)
Timed = tuple[float, Job]


@dataclass(frozen=True)
class Seen:
    """Requests offered, and those whose answer was whole and began inside the deadline."""

    offered: int = 0
    good: int = 0

    @property
    def goodput_ratio(self) -> float:
        return self.good / self.offered


class Crowd(Traffic):
    """Traffic by the clock in place of steps; knows when first tokens came."""

    def __init__(self, settings: Settings, *, deadline_s: float) -> None:
        super().__init__(SHAPE, settings)
        self._deadline_s = deadline_s
        self.begun_in_time: set[int] = set()  # leases

    def play(self, jobs: Iterable[Timed]) -> None:
        """Offer every job at its time and go on until nothing is left."""
        coming = sorted(jobs, key=lambda timed: timed[0], reverse=True)
        while coming or self.engine.unfinished or len(self.controller.queue):
            while coming and coming[-1][0] <= self.now_s:
                self.offer(coming.pop()[1])
            running = [(each, self._by_row[each.row]) for each in self.engine.running]
            self.advance()
            for sequence, visit in running:
                in_time = self.now_s <= visit.offered_at_s + self._deadline_s
                if sequence.generated and in_time and visit.lease_id is not None:
                    self.begun_in_time.add(visit.lease_id)

    def seen(self) -> Mapping[str, Seen]:
        """By tenant."""
        found = {str(tenant): Seen() for tenant in range(TENANTS)}
        for visit in self.visits:
            before = found[visit.job.tenant]
            good = visit.outcome == "served" and visit.lease_id in self.begun_in_time
            found[visit.job.tenant] = Seen(before.offered + 1, before.good + good)
        return found


def asked(times_share: float, *, seed: int, deadline_s: float) -> list[Timed]:
    """Poisson arrivals; GREEDY asks `times_share` times as often as each other.

    What the others ask does not depend on it. Lengths are as of short chats, unknown beforehand.
    """
    found: list[Timed] = []
    for tenant in map(str, range(TENANTS)):
        rng = random.Random(f"{seed}/{tenant}")
        rate = SHARE_PER_S * (times_share if tenant == GREEDY else 1.0)
        at_s = rng.expovariate(rate)
        while at_s < OFFERED_S:
            output = min(400, 1 + int(rng.lognormvariate(4.5, 0.8)))
            prompts = (rng.randint(40, 600),)
            job = Job(0, prompts, output, max_tokens=400, tenant=tenant, patience_s=deadline_s)
            found.append((at_s, job))
            at_s += rng.expovariate(rate)
    return found


def play(
    times_share: float,
    settings: Settings | None = None,
    *,
    seed: int = 1,
    deadline_s: float = DEADLINE_S,
) -> Crowd:
    """One run, to its end."""
    crowd = Crowd(settings or Settings(), deadline_s=deadline_s)
    crowd.play(asked(times_share, seed=seed, deadline_s=deadline_s))
    return crowd


def others(seen: Mapping[str, Seen]) -> Seen:
    """All but the greedy one."""
    rest = [each for tenant, each in seen.items() if tenant != GREEDY]
    return Seen(sum(each.offered for each in rest), sum(each.good for each in rest))
