"""Real gateways, one at a time: two engines on a small machine only wait for each other."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from serve.process.start import checked_mark
from tests.live.gateway import Gateway, free_port, serve, write_profile


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is here `live`, and what needs a gateway `both_cores`; it sees all folders."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("live")
            if "gateway_of" in getattr(item, "fixturenames", ()):
                item.add_marker("both_cores")


class OneAtATime:
    """Calling it gives a running gateway with a changed profile, as `write_profile` takes them.

    The same changes again give the same gateway; others end it first. So tests that share a
    profile stand in one module, and a module that ends it in its own way does so at last. Rooms and
    modules run in the order of their names: those with the default profile from `gate` to
    `process/test_ends.py`, with no other gateway between them. All listen on the same `port`: each
    start has to find what the one before it left.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._running: tuple[str, Gateway] | None = None

    def __call__(self, *, base: str = "smollm2-cpu", **changes: Mapping[str, Any]) -> Gateway:
        """Returns when it answers; NotStartedError with its words when it does not."""
        name = repr((base, sorted(changes.items())))
        if self._running is None or self._running[0] != name or not _usable(self._running[1]):
            self.end()
            profile = write_profile(self._folder, base=base, **changes)
            _vouch_for(profile)
            gateway = serve(profile, port=self.port, folder=self._folder)
            self._running = name, gateway
            gateway.wait_until_ready()
        return self._running[1]

    def end(self) -> None:
        """Afterwards nothing runs."""
        running, self._running = self._running, None
        if running is not None:
            running[1].end()


def _usable(gateway: Gateway) -> bool:
    """A drained one can be used again: a test of this module drained it, the next one resumes."""
    return gateway.healthy() or gateway.draining()


def _vouch_for(profile: Path) -> None:
    """Spares a start its question to vLLM, a process and some 18 s: the replica parses it anyway.

    Starts that a test makes by itself ask (`process/test_ends.py`).
    """
    passed = checked_mark(profile)
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.touch()


@pytest.fixture(scope="session")
def gateway_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneAtATime]:
    """`gateway_of(engine_args={"max_num_seqs": 4}, admission={"mode": "off"})`."""
    one = OneAtATime(tmp_path_factory.mktemp("gateway"))
    yield one
    one.end()


@pytest.fixture
def gateway(gateway_of: OneAtATime) -> Gateway:
    """The gateway most tests talk to: the small model, as in configs/smollm2-cpu.yaml."""
    return gateway_of()


@pytest.fixture
def started(gateway_of: OneAtATime) -> Iterator[list[Gateway]]:
    """Put what a test starts itself here: it is gone afterwards, and nothing runs meanwhile."""
    gateway_of.end()
    gateways: list[Gateway] = []
    yield gateways
    for gateway in gateways:
        gateway.end()
