"""The watch over one engine: what it tells the controller, the log and the metrics."""

import logging

import pytest
from prometheus_client import CollectorRegistry

from admission.controller import Controller
from admission.terms.settings import Settings
from serve.gate.engine_watch import EngineWatch
from serve.observability.metrics import Metrics
from tests.admission.examples import accepted, offer, record, shape
from tests.fakes import settle
from tests.serve.fake_engine import SHAPE, FakeEngine


def granted(controller: Controller) -> int:
    """A lease for a request of two blocks."""
    return accepted(controller.offer(offer(shape(16, 16)), 0.0))


class Watched:
    """A controller whose engine was pinged at 0 s, and the watch over both."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.controller = Controller(SHAPE, Settings())
        self.registry = CollectorRegistry()
        self.watch = EngineWatch(
            self.engine, self.controller, Metrics(self.registry), now_s=float, running=["a", "b"]
        )
        self.controller.pinged(0.0)

    def look(self, now_s: float) -> None:
        self.controller.tick(now_s)
        self.watch.look()


def test_a_hang_and_its_end_are_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    at = Watched()
    for now_s in (5.0, 11.0, 12.0):
        at.look(now_s)
    assert not at.watch.healthy
    assert not at.engine.killed
    at.controller.ping_answered(13.0)
    at.look(13.0)
    assert at.watch.healthy
    silent, again = [each.getMessage() for each in caplog.records]
    assert "no sign of life for 11 s" in silent
    assert "2 leases out" in silent
    assert "answers again" in again
    assert at.registry.get_sample_value("sluice_engine_hangs_total") == 1


def test_a_lost_engine_is_ended_once_and_stays_down() -> None:
    at = Watched()
    at.look(61.0)
    assert at.engine.killed
    assert at.controller.engine_down
    at.engine.killed = False
    at.look(62.0)
    assert not at.engine.killed


def test_a_dead_engine_is_down_at_once(caplog: pytest.LogCaptureFixture) -> None:
    at = Watched()
    at.engine.errored = True
    assert not at.watch.healthy
    at.look(0.1)
    assert at.controller.engine_down
    assert "the engine died with 2 leases out" in caplog.text


async def test_the_engine_is_asked_once_for_all_ends_known_so_far() -> None:
    engine = FakeEngine()
    controller = Controller(SHAPE, Settings(), confirms_ends=True)
    watch = EngineWatch(engine, controller, Metrics(CollectorRegistry()), now_s=float, running=[])
    (row,) = controller.rows_of(lease := granted(controller))
    controller.progress(record({row: 1}, elapsed_s=0.1), 0.0)
    controller.release(lease, 0.0, in_engine=True)
    assert controller.ends_to_confirm
    engine.answers_pings = False
    watch.confirm_ends()
    watch.confirm_ends()
    await settle()
    assert controller.ends_to_confirm
    await watch.close()
    engine.answers_pings = True
    watch.confirm_ends()
    await settle()
    assert not controller.ends_to_confirm
