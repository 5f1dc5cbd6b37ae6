"""``/v1/starts``: starts that are paid for first, for an app or a system that has its drivers.

``POST`` asks for the hold and answers 201; the charge point is told once the hold stands. The
client secret with which an app lets its driver confirm a card is read at the processor when it is
asked for, and kept nowhere.
"""

from __future__ import annotations

import secrets as randomness
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api import query
from wattledger.api.answers import json_answer
from wattledger.api.body import read_body
from wattledger.api.idempotency import once
from wattledger.api.state import State
from wattledger.clock import utc_text
from wattledger.contract import Route
from wattledger.entitlements.payment_checks import is_address
from wattledger.errors import BadInput, NotFound
from wattledger.payments import starts_store
from wattledger.payments.starts_store import StartRequest
from wattledger.payments.stripe.secret import client_secret, publishable
from wattledger.pipeline.starting import ask_start, start_view, starts
from wattledger.pipeline.starting.ask_start import Wanted
from wattledger.pipeline.terminals import readers
from wattledger.pipeline.world import World
from wattledger.section import Section, bad_input
from wattledger.sessions.finished import CONNECTOR_MAX
from wattledger.wire.numbers import decode_json

BODY_MAX_BYTES = 16 * 1024
_SCOPE = "starts:write"
_TEXT_MAX, _TOKEN_MAX = 255, 36
_ROUTES = (Route.APP, Route.CHECKOUT, Route.TERMINAL)


class Body(Section, frozen=True):
    """A start as it is asked for: the fields of the request, the options of the command."""

    route: str
    charge_point_id: str
    connector_id: int | None = None
    account_id: str | None = None
    token: str | None = None
    reader: str | None = None
    email: str | None = None
    consent: bool = False
    payment_method: str | None = None
    reference: str | None = None
    retry_of: str | None = None


async def post(request: Request) -> Response:
    """201 and the start; 409 with the reason where it may not be."""
    state: State = request.app.state.wattledger
    key_name = state.keys.require(request, _SCOPE)
    raw = await read_body(request, BODY_MAX_BYTES)

    async def act() -> Response:
        given = _read(request, raw, f"key:{key_name}")
        await check_connector(state.world, given)
        asked = await ask_start.ask(state.world, given)
        if asked.start is None:
            why = f"nothing can be started there so: {asked.reason}"
            return json_answer({"accepted": False, "reason": asked.reason, "error": why}, 409)
        return json_answer(await _said(state, asked.start), 201)

    answer = await once(request, key_name, raw, act)
    state.wake()
    return answer


async def get_one(request: Request) -> Response:
    """The start as it stands."""
    state: State = request.app.state.wattledger
    state.keys.require(request, _SCOPE)
    return json_answer(await _said(state, await _start(state, request)))


async def post_cancel(request: Request) -> Response:
    """Its driver does not want it any more: the hold is given back."""
    state: State = request.app.state.wattledger
    key_name = state.keys.require(request, _SCOPE)
    start = await starts.cancel(
        state.world, (await _start(state, request)).id, actor=f"key:{key_name}"
    )
    state.wake()
    return json_answer(await _said(state, start))


async def post_present(request: Request) -> Response:
    """At an attended terminal: the reader shows the same payment for another card."""
    state: State = request.app.state.wattledger
    key_name = state.keys.require(request, _SCOPE)
    start_id = (await _start(state, request)).id
    start = await readers.show_again(state.world, start_id, f"key:{key_name}")
    state.wake()
    return json_answer(await _said(state, start))


async def get_client_secret(request: Request) -> Response:
    """With what an app confirms the payment, and the publishable key that goes with it."""
    state: State = request.app.state.wattledger
    state.keys.require(request, _SCOPE)
    start = await _start(state, request)
    async with state.reader.connection() as conn:
        seen = await start_view.see(state.world, conn, start)
    processor, intent_id = await start_view.processor_of(state.world, seen)
    secret = await client_secret(processor, state.secrets, intent_id)
    if secret is None:
        raise NotFound(f"the processor has no intent of start {start.id}")
    return json_answer({
        "client_secret": secret,
        "publishable_key": publishable(processor, state.secrets),
    })  # fmt: skip


async def post_look(request: Request) -> Response:
    """The driver has confirmed: the payment is read at the processor now, 202."""
    state: State = request.app.state.wattledger
    state.keys.require(request, _SCOPE)
    start = await _start(state, request)
    await start_view.look(state.world, start)
    state.wake()
    return json_answer({"id": start.id}, 202)


async def _start(state: State, request: Request) -> StartRequest:
    start_id = query.an_id(request.path_params["start_id"], "start_id")
    async with state.reader.connection() as conn:
        start = await starts_store.get(conn, start_id)
    if start is None:
        raise NotFound(f"no start {start_id}")
    return start


async def _said(state: State, start: StartRequest) -> dict[str, Any]:
    async with state.reader.connection() as conn:
        return shown(await start_view.see(state.world, conn, start))


def shown(seen: start_view.Seen) -> dict[str, Any]:
    """A start as the API and the command line tell it."""
    start = seen.start
    payment, running = seen.payment, seen.running
    hold = payment and {
        "minor": payment.hold_minor, "currency": payment.currency, "state": payment.state,
        "held_minor": payment.authorized_minor, "brand": payment.brand, "last4": payment.last4,
        "decline_code": payment.decline_code,
    }  # fmt: skip
    return {
        "id": start.id,
        "reference": start.reference,
        "route": start.route,
        "state": start.state,
        "why": start.why,
        "needs": start_view.needs(seen),
        "charge_point_id": start.charge_point_id,
        "connector_id": start.connector_id,
        "account_id": start.account_id,
        "hold": hold,
        "price_text": seen.price_text,
        "asked_at": utc_text(start.asked_at),
        "expires_at": utc_text(start.expires_at),
        "command_id": start.command_key if start.state != "paying" else None,
        "session_id": start.session_id,
        "session": running and {
            "state": running.state, "energy_wh": running.energy_wh,
            "total": {"minor": running.total_minor, "currency": seen.currency},
        },
        "receipt_url": seen.receipt_url,
    }  # fmt: skip


def _read(request: Request, raw: bytes, actor: str) -> Wanted:
    found = decode_json(raw, "$")
    try:
        body = msgspec.convert(found, Body)
    except msgspec.ValidationError as error:
        raise bad_input(error, Body) from None
    reference = body.reference or (request.headers.get("idempotency-key") or "").strip('" ')
    if not reference:
        raise BadInput("$.reference", None, "one, or an Idempotency-Key: it may start only once")
    return wanted(body, reference, actor)


def wanted(body: Body, reference: str, actor: str) -> Wanted:
    """The fields, checked. Raises BadInput."""
    if body.route not in _ROUTES:
        raise BadInput("$.route", body.route, "one of " + ", ".join(_ROUTES))
    for name in ("reference", "charge_point_id", "account_id", "token", "reader", "email",
                 "payment_method", "retry_of"):  # fmt: skip
        text = reference if name == "reference" else getattr(body, name)
        most = _TOKEN_MAX if name == "token" else _TEXT_MAX
        if text is not None and not (1 <= len(text) <= most and text.isprintable()):
            raise BadInput(f"$.{name}", text, f"1 to {most} printable characters")
    if start_view.is_of_page(reference):
        raise BadInput("$.reference", reference, "one that does not begin with page:")
    if body.connector_id is not None and not 0 < body.connector_id <= CONNECTOR_MAX:
        raise BadInput("$.connector_id", body.connector_id, f"from 1 to {CONNECTOR_MAX}")
    if body.email is not None and not is_address(body.email):
        raise BadInput("$.email", body.email, "an e-mail address")
    _check_who(body)
    return Wanted(
        Route(body.route), body.charge_point_id, reference, nonce=randomness.token_hex(16),
        connector_id=body.connector_id, token=body.token, account_id=body.account_id,
        reader_id=body.reader, email=body.email, consent=body.consent,
        payment_method=body.payment_method, retry_of=body.retry_of, actor=actor,
    )  # fmt: skip


async def check_connector(world: World, wanted: Wanted) -> None:
    """One that the charge point has: a hold for another would wait for nothing."""
    snapshot = await world.snapshot(world.now)
    place = snapshot.place_of(wanted.charge_point_id)
    if place is None or wanted.connector_id is None:
        return
    most = place[1].connectors
    if wanted.connector_id > most:
        raise BadInput("$.connector_id", wanted.connector_id, f"a connector up to {most}")


def _check_who(body: Body) -> None:
    """An app's driver has an account; a guest has none, and at a terminal there is a reader."""
    named = [name for name in ("account_id", "token") if getattr(body, name) is not None]
    if body.route == Route.APP:
        if len(named) != 1:
            raise BadInput("$.account_id", body.account_id, "one of account_id and token")
    elif named or body.payment_method is not None:
        name = named[0] if named else "payment_method"
        raise BadInput(f"$.{name}", getattr(body, name), f"none: {body.route} is for guests")
    if (body.route == Route.TERMINAL) != (body.reader is not None):
        raise BadInput("$.reader", body.reader, "a reader for the route terminal, and no other")
