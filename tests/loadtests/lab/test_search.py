"""Settings are tried on a part; ours less a part, and ours told wrong lengths."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from admission.speed.linear_steps import StepCoefficients
from admission.terms.settings import Mode, Settings
from loadtests.lab.catalogue import ABLATIONS, NOISY, EngineFacts, Variant, door_of, variants_of
from loadtests.lab.comparing.search import Trial, best_of, finalists, plans, requests_of
from loadtests.lab.jobs import ORACLE, Cell, Job, JobResult
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.fifo import TIMED_OUT
from loadtests.lab.playing.gateway import OurGateway
from loadtests.lab.playing.play import Played, play_one
from loadtests.lab.playing.workload import Cut, TraceWorkload
from loadtests.lab.summary import row
from tests.loadtests.lab.fake_virtual_engine import SHAPE, FakeVirtualEngine
from tests.loadtests.lab.lab_cases import asked, workload_of

BOUNDS = Bounds(ttft_s=1.0, tpot_s=0.2)
CELL = Cell(Path("profile"), Path("trace"), Cut(warm_up=20, limit=100), BOUNDS)
FACTS = EngineFacts(SHAPE, Settings(), BOUNDS, StepCoefficients(0.1, 0, 0, 0), 1000.0)
BUSY = workload_of(*(asked(n, 0.05 * n, output=1 + 7 * n % 23) for n in range(60)))


def played(variant: Variant, workload: TraceWorkload = BUSY) -> Played:
    return play_one(workload, FakeVirtualEngine(), door_of(variant, FACTS), BOUNDS)


def run_all(jobs: Sequence[Job]) -> list[JobResult]:
    """As on a machine, but every cell is the same busy minute."""
    told = [(job, played(job.variant)) for job in jobs]
    return [
        JobResult(job, row(job.variant.policy, job.variant.n, BUSY, run, BOUNDS), run)
        for job, run in told
    ]


def test_a_trial_is_a_part_of_the_cell() -> None:
    trial = Trial(warm_up=5, requests=30)
    assert trial.of(CELL) == replace(CELL, cut=replace(CELL.cut, warm_up=5, limit=30))


def test_settings_that_come_to_the_same_go_on_once_with_the_widest() -> None:
    limits = [Variant("static", limit) for limit in (1, 2, 500, 600)]
    results = run_all([Job(CELL, limit) for limit in limits])
    assert best_of(results, 4)[0].n == 600
    assert 500 not in {each.n for each in best_of(results, 4)}


def test_without_a_trial_everything_is_played_in_full() -> None:
    tried = {"static": variants_of("static", static_n=48)}
    assert finalists(CELL, tried, run_all, None) == tried


def test_a_swept_policy_is_played_in_full_and_the_others_by_their_best() -> None:
    tried = {
        "off": variants_of("off", static_n=48),
        "static": [Variant("static", limit) for limit in (1, 2, 16)],
        "queued_tokens": [Variant("queued_tokens", limit) for limit in (32, 64, 4096)],
    }
    trial = Trial(5, 30, finalists=1, sweeps=frozenset(["static"]))
    found = finalists(CELL, tried, run_all, trial)
    assert found["off"] == tried["off"]
    assert found["static"] == tried["static"]
    assert len(found["queued_tokens"]) == 1


def test_what_is_to_be_played_is_counted_beforehand() -> None:
    trial = Trial(5, 30, finalists=2)
    tried = {"off": [Variant("off")], "static": [Variant("static", n) for n in (1, 2, 3)]}
    count = len(plans()[ORACLE])
    assert requests_of(CELL, tried, trial) == 120 * (1 + 2 + 3) + 35 * (3 + count)


def test_off_lets_in_as_the_gateway_does_that_is_off() -> None:
    gateway = OurGateway(SHAPE, Settings(mode=Mode.OFF), BOUNDS)
    theirs = play_one(BUSY, FakeVirtualEngine(), gateway, BOUNDS)
    assert played(Variant("off")).outcomes == theirs.outcomes


@pytest.mark.parametrize("policy", [*ABLATIONS, *NOISY])
def test_every_request_has_its_answer_without_any_part(policy: str) -> None:
    outcomes = played(Variant(policy)).outcomes
    assert all(each.refusal or each.accepted_at_s is not None for each in outcomes)


def test_without_early_refusal_who_waits_is_turned_away_when_the_token_is_due() -> None:
    outcomes = played(Variant("no_ttft_gate")).outcomes
    assert {each.refusal for each in outcomes} <= {None, TIMED_OUT}


def test_lengths_are_mistaken_alike_in_every_run() -> None:
    first, again = (played(Variant(NOISY[-1])).outcomes for _ in range(2))
    assert first == again
