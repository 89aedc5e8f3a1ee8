"""What all tests share: async tests run on asyncio, the loop the gateway runs on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests and fixtures run once, on asyncio."""
    return "asyncio"
