"""What all tests share.

Async tests run on asyncio, the loop the gateway runs on. A busy machine is no failure: Hypothesis
has no deadline here, and few examples.
"""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "plain", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("plain")


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests and fixtures run once, on asyncio."""
    return "asyncio"
