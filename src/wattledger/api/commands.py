"""Commands to charge points: ``POST /v1/charge-points/{id}/remote-start`` and others, answered 202
with the command's id; ``GET /v1/commands/{id}`` says what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api import query
from wattledger.api.answers import json_answer
from wattledger.api.body import read_body
from wattledger.api.idempotency import once
from wattledger.api.state import State
from wattledger.clock import utc_text
from wattledger.errors import BadInput, NotFound
from wattledger.payments import starts_store
from wattledger.payments.starts_store import StartRequest
from wattledger.pipeline.charging import remote_start
from wattledger.pipeline.stations import commands
from wattledger.section import Section, bad_input
from wattledger.sessions.finished import CONNECTOR_MAX
from wattledger.wire.numbers import decode_json

BODY_MAX_BYTES = 16 * 1024
_TEXT_MAX = 255
_TOKEN_MAX = 36
_SCOPE = "commands:write"
# What helps to bill or to see; what restarts or updates a charge point is not ours to ask for.
_MESSAGES = ("BootNotification", "Heartbeat", "MeterValues", "StatusNotification",
             "TransactionEvent")  # fmt: skip
# Of IdTokenEnumType, those that a remote start can have.
_TOKEN_TYPES = ("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local")


T = TypeVar("T", bound=Section)


class _Asked(Section, frozen=True):
    reference: str | None = None


class _Start(Section, frozen=True):
    token: str
    connector_id: int | None = None
    token_type: str | None = None
    reference: str | None = None


class _Stop(Section, frozen=True):
    session_id: str


class _Trigger(Section, frozen=True):
    message: str
    connector_id: int | None = None
    reference: str | None = None


async def post_remote_start(request: Request) -> Response:
    """202 and the command; 409 with the reason where the token may not charge there."""

    async def act(state: State, point_id: str, raw: bytes) -> Response:
        body = _body(raw, _Start)
        reference = body.reference or request.headers.get("idempotency-key")
        if not reference:
            raise BadInput(
                "$.reference", None, "one, or an Idempotency-Key: it may start only once"
            )
        if not 1 <= len(body.token) <= _TOKEN_MAX or not body.token.isprintable():
            raise BadInput("$.token", body.token, f"1 to {_TOKEN_MAX} printable characters")
        if body.token_type is not None and body.token_type not in _TOKEN_TYPES:
            raise BadInput("$.token_type", body.token_type, f"one of {', '.join(_TOKEN_TYPES)}")
        asked = await remote_start.remote_start(
            state.world, point_id, body.token, _connector(body.connector_id),
            _short("$.reference", reference), token_type=body.token_type,
        )  # fmt: skip
        if asked.command_id is None:
            why = f"the token may not charge there: {asked.reason}"
            return json_answer({"accepted": False, "reason": asked.reason, "error": why}, 409)
        return json_answer({"accepted": True, "id": asked.command_id}, 202)

    return await _once(request, act)


async def post_remote_stop(request: Request) -> Response:
    """202 and the command that is on its way; 409 where the session does not run."""

    async def act(state: State, point_id: str, raw: bytes) -> Response:
        session_id = query.an_id(_body(raw, _Stop).session_id, "$.session_id")
        found = await remote_start.stop_session(state.world, point_id, session_id)
        return json_answer({"id": found}, 202)

    return await _once(request, act)


async def post_clear_cache(request: Request) -> Response:
    """202 and the command."""

    async def act(state: State, point_id: str, raw: bytes) -> Response:
        body = _body(raw or b"{}", _Asked)
        return await _asked(state, request, point_id, "clear_cache", {}, body.reference)

    return await _once(request, act)


async def post_trigger(request: Request) -> Response:
    """202 and the command: the charge point is to send a message now."""

    async def act(state: State, point_id: str, raw: bytes) -> Response:
        body = _body(raw, _Trigger)
        if body.message not in _MESSAGES:
            raise BadInput("$.message", body.message, f"one of {', '.join(_MESSAGES)}")
        wanted = {"message": body.message, "connector_id": _connector(body.connector_id)}
        return await _asked(state, request, point_id, "trigger_message", wanted, body.reference)

    return await _once(request, act)


async def get_one(request: Request) -> Response:
    """The command as it stands, with the charge point's answer; of a remote start the session that
    it began."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    command_id = request.path_params["command_id"]
    if "\x00" in command_id:
        raise NotFound("no such command")
    async with state.reader.connection() as conn:
        found = await commands.look(conn, command_id, state.world.now)
        if found is None:
            waits = await starts_store.by_command(conn, command_id)
            if waits is not None:
                return json_answer(_not_yet(waits))
        if found is None:
            raise NotFound(f"no command {command_id}")
        asked = found.pop("request")
        if found["command"] == "remote_start":
            found["session_id"] = await remote_start.begun(conn, asked)
    return json_answer(found)


def _not_yet(start: StartRequest) -> dict[str, Any]:
    """A remote start whose card is being held, or could not be: the command is not written yet."""
    return {
        "id": start.command_key,
        "command": "remote_start",
        "charge_point_id": start.charge_point_id,
        "subject": start.id,
        "state": "waiting" if start.live else "refused",
        "asked_at": utc_text(start.asked_at),
        "expires_at": utc_text(start.expires_at),
        "settled_at": None,
        "answer": None if start.live else {"code": start.why or start.state},
        "session_id": start.session_id,
    }


async def _once(
    request: Request, act: Callable[[State, str, bytes], Awaitable[Response]]
) -> Response:
    state: State = request.app.state.wattledger
    key_name = state.keys.require(request, _SCOPE)
    point_id = query.an_id(request.path_params["charge_point_id"], "charge_point_id")
    raw = await read_body(request, BODY_MAX_BYTES)
    answer = await once(request, key_name, raw, lambda: act(state, point_id, raw))
    state.wake()
    return answer


async def _asked(
    state: State, request: Request, point_id: str, name: str, wanted: dict[str, Any],
    reference: str | None,
) -> Response:  # fmt: skip
    given = reference or request.headers.get("idempotency-key")
    given = _short("$.reference", given) if given else None
    return json_answer(
        {"id": await remote_start.ask(state.world, point_id, name, wanted, given)}, 202
    )


def _body(raw: bytes, kind: type[T]) -> T:
    found = decode_json(raw, "$")
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise bad_input(error, kind) from None


def _connector(number: int | None) -> int | None:
    if number is not None and not 0 < number <= CONNECTOR_MAX:
        raise BadInput("$.connector_id", number, f"a whole number from 1 to {CONNECTOR_MAX}")
    return number


def _short(path: str, text: str) -> str:
    if len(text) > _TEXT_MAX or not text.isprintable():
        raise BadInput(path, text, f"1 to {_TEXT_MAX} printable characters")
    return text
