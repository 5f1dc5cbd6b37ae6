"""A whole system for each test: see ``rig``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rig.fixtures import dsn, loop_factories

__all__ = ["dsn"]


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Any]:
    return loop_factories()
