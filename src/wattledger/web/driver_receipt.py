"""The page where a driver finds the receipt of a card payment that left no address: at a terminal
nobody stands beside, there is no other way to offer one.

Anybody may ask. What has to be known is what stands on the card and what only who charged knows:
the last four digits, the charge point, and a time at which it charged. Neither an address nor a
charge point may be tried out often, and what is found says nothing of a person.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as Path

from wattledger.contract import Route
from wattledger.errors import BadInput
from wattledger.pipeline.world import World
from wattledger.rate import Rate
from wattledger.receipts import links
from wattledger.receipts.words import words
from wattledger.web import driver_words, forms
from wattledger.web.page import HEADERS, Pool, Site

log = logging.getLogger(__name__)
AT = "/q/-/receipt/"
_LAST4 = re.compile(r"[0-9]{4}")
_WITHIN = timedelta(hours=1)
"""Somebody's own clock is right to within this."""
_LONGEST = timedelta(days=7)
_SHOWN_MAX = 5
_ROUTES = [str(Route.TERMINAL), str(Route.CHECKOUT)]
_FOUND = """
SELECT s.id, s.started_at FROM session s
WHERE s.charge_point_id = %(point)s AND s.state <> 'discarded'
AND s.started_at > %(since)s - %(longest)s AND s.started_at <= %(until)s
AND COALESCE(s.stopped_at, %(now)s) >= %(since)s
AND (EXISTS (SELECT FROM payment p WHERE p.session_id = s.id AND p.last4 = %(last4)s
             AND p.route = ANY(%(routes)s))
  OR EXISTS (SELECT FROM terminal_payment t WHERE t.session_id = s.id AND t.last4 = %(last4)s))
ORDER BY s.started_at DESC, s.id LIMIT %(limit)s
"""


class _Asked(msgspec.Struct, frozen=True):
    last4: str
    since: datetime
    until: datetime


class Finding:
    """The page's two handlers. ``receipts_by`` names the secret that receipts' links are made
    with; without one there are no receipts to find."""

    def __init__(
        self, world: World, pool: Pool, secrets: Callable[[str], str], receipts_by: str | None,
        site: Site, file: Callable[[str], str], address: Callable[[Request], str],
    ) -> None:  # fmt: skip
        self._world, self._pool, self._secrets = world, pool, secrets
        self._receipts_by = receipts_by
        self._site, self._file, self._address = site, file, address
        self._tries = Rate(per_minute=6, burst=6)
        self._tries_here = Rate(per_minute=2, burst=30)

    def routes(self) -> list[Path]:
        """A charge point's id may have slashes in it."""
        return [
            Path(AT + "{charge_point_id:path}", self._form, methods=["GET"]),
            Path(AT + "{charge_point_id:path}", self._find, methods=["POST"]),
        ]

    async def _form(self, request: Request) -> Response:
        return await self._page(request)

    async def _find(self, request: Request) -> Response:
        try:
            return await self._looked_for(request)
        except Exception:
            log.exception("a receipt at %r", request.path_params["charge_point_id"])
            return await self._page(request, 503, problem=driver_words.FAULT.title)

    async def _looked_for(self, request: Request) -> Response:
        point_id = request.path_params["charge_point_id"]
        zone = await self._zone(point_id)
        if zone is None or self._receipts_by is None:
            return await self._page(request)
        if not (self._tries.allows(self._address(request)) and self._tries_here.allows(point_id)):
            return await self._page(request, 429, problem=driver_words.TOO_OFTEN.text)
        form: dict[str, str] = {}
        try:
            form = await forms.read(request)
            asked = _asked(form, zone)
        except BadInput as error:
            return await self._page(request, 422, problem=error.expected, form=form)
        rows = await self._rows(point_id, asked)
        if not rows:
            return await self._page(request, 404, problem=driver_words.NO_RECEIPT, form=form)
        said = words("en")  # as the rest of the page
        found = [(said.moment(row["started_at"], zone), self._link(row["id"])) for row in rows]
        if len(found) == 1:
            return RedirectResponse(found[0][1], 303, headers=_headers())
        return await self._page(request, found=found)

    async def _rows(self, point_id: str, asked: _Asked) -> list[dict[str, Any]]:
        async with self._pool.connection(timeout=5) as conn:
            cursor = await conn.execute(
                _FOUND,
                {
                    "point": point_id, "last4": asked.last4, "since": asked.since,
                    "until": asked.until, "longest": _LONGEST, "now": self._world.now,
                    "routes": _ROUTES, "limit": _SHOWN_MAX,
                },
            )  # fmt: skip
            return await cursor.fetchall()

    def _link(self, session_id: str) -> str:
        assert self._receipts_by is not None, "without it nothing is looked for"
        return f"/r/{links.token(self._secrets(self._receipts_by), session_id)}"

    async def _zone(self, point_id: str) -> str | None:
        found = (await self._world.snapshot(self._world.now)).place_of(point_id)
        return found[0].time_zone if found else None

    async def _page(
        self, request: Request, status: int = 200, *, problem: str | None = None,
        form: dict[str, str] | None = None, found: list[tuple[str, str]] | None = None,
    ) -> Response:  # fmt: skip
        place = (await self._world.snapshot(self._world.now)).place_of(
            request.path_params["charge_point_id"]
        )
        if place is None or self._receipts_by is None:
            status, problem = 404, driver_words.NO_RECEIPTS if place else driver_words.UNKNOWN.text
        answer = self._site.html(
            "driver_receipt.html", request, None, status=status, file=self._file,
            place=place, ready=self._receipts_by is not None, problem=problem, form=form or {},
            found=found or [],
        )  # fmt: skip
        answer.headers.update(_headers())
        return answer


def _headers() -> dict[str, str]:
    return {**HEADERS, "Cache-Control": "no-store"}


def _asked(form: dict[str, str], zone: str) -> _Asked:
    """Raises BadInput with what to do about it."""
    last4, text = form.get("last4", "").strip(), form.get("time", "").strip()
    if not _LAST4.fullmatch(last4):
        raise BadInput("last4", last4, "Give the last four digits of the card's number.")
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        local = None
    if local is None or local.tzinfo is not None:
        raise BadInput("time", text, "Give the day and the time at which you charged.")
    try:
        # A clock that is put back says an hour twice: both are meant.
        both = [local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)]
        return _Asked(last4, min(both) - _WITHIN, max(both) + _WITHIN)
    except OverflowError:
        raise BadInput("time", text, "Give the day and the time at which you charged.") from None
