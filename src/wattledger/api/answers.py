"""Answers of the API: JSON, and errors that say where, what came and what was expected."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wattledger.errors import BadInput, Conflict, NotFound, Refused, WattledgerError


def json_answer(value: Any, status: int = 200) -> Response:
    """``value`` as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def error_answer(request: Request, error: Exception) -> Response:
    """An error raised on purpose, as the status that says whose turn it is."""
    body: dict[str, Any] = {"error": str(error)}
    if isinstance(error, BadInput):
        body |= {"path": error.path, "got": repr(error.got)[:200], "expected": error.expected}
    return json_answer(body, _status(error))


def _status(error: Exception) -> int:
    if isinstance(error, Refused):
        return 403 if "scope" in str(error) else 401
    for kind, status in ((BadInput, 422), (NotFound, 404), (Conflict, 409)):
        if isinstance(error, kind):
            return status
    return 400 if isinstance(error, WattledgerError) else 500
