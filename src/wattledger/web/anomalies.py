"""Anomalies: the list, one of them with all its facts, and what a person decides about it.

A decision comes as a plain form, from this page and no other (``web.forms``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wattledger.contract import Contract
from wattledger.energy import kwh_text, register_wh
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ingest import anomalies as store
from wattledger.ingest.anomalies import Anomaly
from wattledger.ingest.codes import Code, Severity, describe
from wattledger.pipeline.billing.decisions import Offers, offers
from wattledger.pipeline.billing.resolve import Act, Edge, resolve
from wattledger.web import forms
from wattledger.web.page import Site, View, chosen
from wattledger.web.places import Conn

ROWS = 25
STATES = {Severity.HOLDS: "bad", Severity.LOOK: "warn", Severity.NOTE: ""}
ACTS = {"accept": "Accepted", "correct": "Corrected", "discard": "Discarded"}
# What the person sees beside a field, for what the pipeline calls it.
_NAMES = {
    "$.reason": "The reason", "$.by": "Your name", "$.kind": "What became of the energy",
    "$.start.at": "The time of the start", "$.start.register_wh": "The register at the start",
    "$.stop.at": "The time of the stop", "$.stop.register_wh": "The register at the stop",
    "$.stop": "The correction", "$": "The correction",
}  # fmt: skip


_WH = re.compile(r"\b(\d+) Wh\b")


class Shown(msgspec.Struct, frozen=True):
    """An anomaly as the page shows it. Times of its session are the site's, ``zone``."""

    one: Anomaly
    code: Code
    offers: Offers
    zone: str
    form: Mapping[str, str]
    """What stands in the fields: what is known, or what was typed and refused."""

    @property
    def state(self) -> tuple[str, str]:
        """Its severity in words, and their look: what holds no session any more needs a look."""
        severity = self.code.severity
        if severity is Severity.HOLDS and self.offers.state not in (None, "held"):
            severity = Severity.LOOK
        return severity.value.capitalize(), STATES[severity]

    @property
    def told(self) -> list[tuple[str, str]]:
        """Its detail in words."""
        return [(name.replace("_", " "), _text(value)) for name, value in self.one.detail.items()]


async def listed(site: Site, request: Request) -> Response:
    """GET /anomalies: the open ones, the newest first; ``?code=`` those of a code."""
    which = chosen(request, "which", ("open", "resolved"))
    code = request.query_params.get("code") or None
    before = _number(request.query_params.get("before") or "0", "?before") or None
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        found = await store.listed(
            conn, limit=ROWS + 1, open_only=which == "open", code=code, before=before,
            newest_first=True,
        )  # fmt: skip
        counts = await store.counts(conn)
        rows = [await _shown(site, conn, view, one) for one in found[:ROWS]]
        done = await _done(conn, request)
    return site.html(
        "anomalies.html",
        request,
        view,
        rows=rows,
        which=which,
        code=code,
        counts=counts,
        next=found[ROWS - 1].id if len(found) > ROWS else None,
        done=done,
        **_words(site, request),
    )


async def one(site: Site, request: Request) -> Response:
    """GET /anomalies/{id}"""
    return await _page(site, request, {}, None, 200)


async def decide(site: Site, request: Request) -> Response:
    """POST /anomalies/{id}: do it, and go back to where the form stood."""
    if site.world is None:
        raise NotFound("decisions are taken on the page of `wattledger serve`")
    if not forms.same_page(request):
        return forms.from_elsewhere(site, request)
    number = _number(request.path_params["anomaly_id"])
    form = await forms.read(request)
    by = form.get("by", "").strip()
    try:
        act = _act(form, await _zone_of(site, number))
        await resolve(site.world, number, act, f"page:{by}")
    except BadInput as error:
        answer = await _page(site, request, form, _problem(error), 422)
    except Conflict as error:
        answer = await _page(site, request, form, f"{error}.", 409)
    else:
        site.wake()
        answer = RedirectResponse(_back(form.get("back", ""), number), 303)
    return forms.remember(request, answer, by)


async def of_session(
    site: Site, conn: Conn, request: Request, view: View, session_id: str
) -> dict[str, Any]:
    """What the page of a session needs: its anomalies, the open ones first, with their forms."""
    found = await store.listed(conn, limit=200, open_only=None, subject=session_id)
    rows = [await _shown(site, conn, view, one) for one in found]
    rows.sort(key=lambda row: row.one.resolved_at is not None)
    return {"anomalies": rows, "done": await _done(conn, request), **_words(site, request)}


# --- reading ---------------------------------------------------------------------------------


async def _page(
    site: Site, request: Request, form: Mapping[str, str], problem: str | None, status: int
) -> Response:
    number = _number(request.path_params["anomaly_id"])
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        found = await store.get(conn, number)
        if found is None:
            raise NotFound(f"there is no anomaly {number}")
        shown = await _shown(site, conn, view, found, form)
        cursor = await conn.execute(
            "SELECT kind, at, received_at, register_wh, activity, origin FROM session_fact"
            " WHERE session_id = %s ORDER BY at, id",
            (found.session_id,),
        )
        facts = await cursor.fetchall()
        done = await _done(conn, request)
    words = _words(site, request)
    if form:
        words |= {"back": form.get("back", ""), "by": form.get("by", "")}
    return site.html(
        "anomaly.html", request, view, status=status, a=shown, facts=facts, problem=problem,
        done=done, **words,
    )  # fmt: skip


async def _shown(
    site: Site, conn: Conn, view: View, found: Anomaly, form: Mapping[str, str] | None = None
) -> Shown:
    offered = Offers(())
    if site.world is not None:
        offered = await offers(site.world, conn, found)
    zone = offered.time_zone or (view.entity.time_zone if view.entity else "UTC")
    return Shown(found, describe(found.code), offered, zone, form or _known(offered, zone))


def _problem(error: BadInput) -> str:
    """For somebody who typed kWh into a form."""
    got = "nothing" if error.got in (None, "") else f"“{_text(error.got)}”"
    if error.path.endswith(".register_wh") and isinstance(error.got, int):
        got = f"{kwh_text(error.got)} kWh"
    expected = _WH.sub(lambda found: f"{kwh_text(int(found[1]))} kWh", error.expected)
    return f"{_NAMES.get(error.path, error.path)}: this was {got}, expected {expected}."


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_text(each)}" for name, each in value.items())
    return "–" if value is None else str(value)


def _known(offered: Offers, zone: str) -> dict[str, str]:
    told = offered.known
    if told is None:
        return {}
    return {
        "start_at": _local_text(told.start_at, zone),
        "start_kwh": "" if told.start_wh is None else kwh_text(told.start_wh),
        "stop_at": _local_text(told.stop_at, zone),
        "stop_kwh": "" if told.stop_wh is None else kwh_text(told.stop_wh),
    }


async def _zone_of(site: Site, number: int) -> str:
    async with site.snapshot() as conn:
        found = await store.get(conn, number)
        if found is None:
            raise NotFound(f"there is no anomaly {number}")
        cursor = await conn.execute(
            "SELECT contract FROM session WHERE id = %s", (found.session_id,)
        )
        row = await cursor.fetchone()
    return msgspec.convert(row["contract"], Contract).time_zone if row else "UTC"


async def _done(conn: Conn, request: Request) -> Anomaly | None:
    """The decision that led here, to say so."""
    text = request.query_params.get("done")
    found = await store.get(conn, _number(text, "?done")) if text else None
    return found if found is not None and found.act is not None else None


def _words(site: Site, request: Request) -> dict[str, Any]:
    return {
        "by": forms.name_of(request),
        "back": request.url.path,
        "acts": ACTS,
        "can_act": site.world is not None,
    }


# --- the form --------------------------------------------------------------------------------


def _act(form: Mapping[str, str], zone: str) -> Act:
    name, kind = form.get("act", ""), form.get("kind") or None
    if name not in ACTS:
        raise BadInput("The act", name, f"one of {', '.join(ACTS)}")
    if kind not in (None, "never_delivered", "given_away"):
        raise BadInput("$.kind", kind, "never_delivered or given_away")
    correct = name == "correct"
    return Act(
        act=name,  # type: ignore[arg-type]
        reason=form.get("reason", ""),
        start=_edge(form, "start", zone) if correct else Edge(),
        stop=_edge(form, "stop", zone) if correct else Edge(),
        kind=kind,  # type: ignore[arg-type]
    )


def _edge(form: Mapping[str, str], name: str, zone: str) -> Edge:
    """A time that nobody touched stays what it is, to the microsecond; the register is said."""
    at, was = form.get(f"{name}_at", "").strip(), form.get(f"{name}_at_was", "").strip()
    kwh = form.get(f"{name}_kwh", "").strip()
    return Edge(
        at=_from_local(at, zone, f"$.{name}.at") if at and at != was else None,
        register_wh=register_wh(kwh, "kWh", f"$.{name}.register_wh") if kwh else None,
    )


def _from_local(text: str, zone: str, path: str) -> datetime:
    """What the site's clock showed. Raises BadInput for what it showed twice, or never."""
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(path, text, "a date and a time") from None
    if said.tzinfo is not None:
        return said.astimezone(UTC)
    here = said.replace(tzinfo=ZoneInfo(zone))
    if here.utcoffset() != here.replace(fold=1).utcoffset():
        raise BadInput(path, text, "a time outside the hour of the clock change, or one with its"
                       " offset, over the API")  # fmt: skip
    return here.astimezone(UTC)


def _local_text(at: datetime | None, zone: str) -> str:
    """As an input of the type datetime-local has it."""
    if at is None:
        return ""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="seconds")


def _back(text: str, number: int) -> str:
    """To where the form stood, if that is a page of ours."""
    path = urlsplit(text).path
    ours = path.startswith(("/anomalies", "/sessions/")) and text == path and "\\" not in path
    return f"{quote(path if ours else '/anomalies', safe='/')}?done={number}#done"


def _number(text: str, path: str = "the number") -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise BadInput(path, text, "the number of an anomaly")
    return int(text)
