"""The stand-in processor on a socket of the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from rig.fixtures import loop_factories
from rig.network import STARTS_AT
from rig.sandbox import Sandbox, sandbox


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Any]:
    return loop_factories()


@pytest.fixture
async def processor() -> AsyncIterator[Sandbox]:
    """At 08:00 UTC on Monday, 2 November 2026, with nothing in it."""
    async with sandbox(STARTS_AT) as running:
        yield running
