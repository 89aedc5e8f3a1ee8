"""Ten client libraries, unchanged, against one gateway: docs/measurements/clients.md.

Not among those of `make test`: the libraries are installed first, and they start on the engine's
cores. `make clients` runs these.
"""

from collections.abc import Mapping

import pytest

from tests.clients.asked import Row, ask, profile
from tests.clients.installed import CLIENTS
from tests.live.conftest import OneAtATime

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def rows(gateway_of: OneAtATime, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Row]:
    """All libraries at work on one gateway, by name."""
    gateway = gateway_of(**profile(tmp_path_factory.mktemp("clients")))
    return {row.client.name: row for row in ask(gateway)}


@pytest.mark.parametrize("name", [client.name for client in CLIENTS])
def test_a_client_library_finds_what_it_expects(rows: Mapping[str, Row], name: str) -> None:
    row = rows[name]
    if row.skipped is not None:
        pytest.skip(f"{name} is not tried: {row.skipped}")
    assert row.wrong == []
