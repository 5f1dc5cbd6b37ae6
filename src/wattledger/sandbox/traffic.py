"""``/_sim/limits``: the rate limits switched on and off, and how many they turned away."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wattledger.sandbox.control import guarded, json_body
from wattledger.sandbox.limits import Limits


class Traffic:
    """POST ``{"limits": "off"|"test"|"live", "per_s": N}``; GET says how it stands."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def routes(self) -> list[Route]:
        return [Route("/_sim/limits", guarded(self._switch), methods=["GET", "POST"])]

    async def _switch(self, request: Request) -> Response:
        limits = self._limits
        if request.method == "POST":
            wanted = await json_body(request)
            limits.switch(wanted.get("limits"), wanted.get("per_s"))
        return JSONResponse(
            {"limits": limits.mode, "per_s": limits.per_s, "refused": limits.refused}
        )
