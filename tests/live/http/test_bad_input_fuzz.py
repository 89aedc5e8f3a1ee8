"""A minute of `python -m tests.bench.fuzz` on the small model: nothing is found."""

import asyncio

from tests.bench.fuzz.aftermath import unsettled
from tests.bench.fuzz.command import report
from tests.bench.fuzz.mutate import Mutator
from tests.bench.fuzz.play import play
from tests.live.clients import MODEL
from tests.live.gateway import Gateway

SEED, CASES, SECONDS = 14, 4000, 60.0  # as many cases as the machine takes in the time


def test_mutated_bodies_and_headers_are_answered_as_they_should_be(gateway: Gateway) -> None:
    address = "127.0.0.1", gateway.port
    cases = Mutator(SEED, MODEL).cases()
    played = asyncio.run(play(address, cases, most=CASES, seconds=SECONDS))
    assert not played.findings, report(played, gateway.url, seed=SEED)
    assert unsettled(address) is None
