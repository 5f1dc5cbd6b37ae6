"""Answers of the API: JSON, and errors that say where, what came and what was expected."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wattledger.errors import (
    BadInput,
    Conflict,
    ExternalFault,
    Forbidden,
    NotFound,
    Refused,
    TooMany,
    WattledgerError,
)


def json_answer(value: Any, status: int = 200) -> Response:
    """``value`` as JSON. Nobody on its way keeps it."""
    return Response(
        msgspec.json.encode(value), status, {"Cache-Control": "no-store"},
        media_type="application/json",
    )  # fmt: skip


async def error_answer(request: Request, error: Exception) -> Response:
    """An error raised on purpose, as the status that says whose turn it is."""
    answer = json_answer(told(error), _status(error))
    if isinstance(error, TooMany):
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def told(error: Exception) -> dict[str, Any]:
    """What is wrong, and where it is known: at which path, what came, and what was expected."""
    body: dict[str, Any] = {"error": str(error)}
    if isinstance(error, BadInput):
        body |= {"path": error.path, "got": repr(error.got)[:200], "expected": error.expected}
    if isinstance(error, TooMany):
        body |= {"reason": error.reason, "retry_after_s": error.retry_after_s}
    return body


_STATUS = (
    (Forbidden, 403),
    (Refused, 401),
    (BadInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (TooMany, 429),
    (ExternalFault, 502),
)


def _status(error: Exception) -> int:
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return 400 if isinstance(error, WattledgerError) else 500
