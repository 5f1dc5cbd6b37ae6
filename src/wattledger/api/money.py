"""Payments, debts, suspense, refunds, disputes and wallets: read, and decided about.

Whatever moves money needs the scope for it and an ``Idempotency-Key``, and leaves a record with
the name of the key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wattledger.api import query
from wattledger.api.answers import json_answer
from wattledger.api.body import read_body
from wattledger.api.idempotency import once
from wattledger.api.state import State
from wattledger.errors import BadInput, Malformed
from wattledger.payments import blocks
from wattledger.pipeline.collecting import wallets
from wattledger.pipeline.deciding import money_desk, money_view
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.returning import disputes, evidence_files, refunds
from wattledger.section import Section, bad_input

BODY_MAX_BYTES = 64 * 1024
READ = "payments:read"
Endpoint = Callable[[Request], Awaitable[Response]]


class _Why(Section, frozen=True):
    reason: str = ""


class _Match(Section, frozen=True):
    session_id: str
    reason: str = ""


class _Evidence(Section, frozen=True):
    reason: str = ""
    note: str = ""


class _Mail(Section, frozen=True):
    to: str | None = None
    reason: str = ""


class _TakeOver(Section, frozen=True):
    reason: str
    kind: str = "correction"
    parts: dict[str, int] = msgspec.field(default_factory=dict)


class _Refund(Section, frozen=True):
    session_id: str
    reason: str
    kind: str = "correction"
    whole: bool = False
    lines: tuple[int, ...] = ()
    amount_minor: int | None = None


class _TopUp(Section, frozen=True):
    entity_id: str
    amount_minor: int
    reference: str | None = None
    reason: str = ""
    recorded: bool = False


def routes() -> list[BaseRoute]:
    """All of them."""
    reads: dict[str, Endpoint] = {
        "payments": get_payments, "payments/{id}": get_payment, "debts": get_debts,
        "suspense": get_suspense, "refunds": get_refunds, "refunds/{id}": get_refund,
        "disputes": get_disputes, "disputes/{id}/evidence": get_evidence,
        "disputes/{id}/evidence/{field}.pdf": get_evidence_file,
        "fraud-warnings": get_warnings, "wallets/{id}": get_wallet,
        "blocks": get_blocks,
    }  # fmt: skip
    acts: dict[str, Endpoint] = {
        "payments/{id}/release": _acting("payment.release"),
        "payments/{id}/refuse": _acting("payment.refuse"),
        "payments/{id}/give-back": _acting("payment.give_back"),
        "payments/{id}/stop": _acting("payment.stop"),
        "debts/{id}/{part}/try": _acting("debt.try"),
        "debts/{id}/{part}/write-off": _acting("debt.write_off"),
        "suspense/{id}/match": _acting("suspense.match", _Match),
        "suspense/{id}/return": _acting("suspense.return"),
        "suspense/{id}/keep": _acting("suspense.keep"),
        "sessions/{id}/unpaid/debt": _acting("unpaid.debt"),
        "sessions/{id}/unpaid/waive": _acting("unpaid.waive"),
        "refunds": post_refund,
        "refunds/take-over/{id}": _acting("refund.take_over", _TakeOver),
        "refunds/{id}/approve": _acting("refund.approve"),
        "refunds/{id}/refuse": _acting("refund.refuse"),
        "payment-refunds/{id}/again": _acting("back.again"),
        "payment-refunds/{id}/paid-otherwise": _acting("back.otherwise"),
        "disputes/{id}/submit": _acting("dispute.submit", _Evidence),
        "sessions/{id}/receipt/mail": _acting("receipt.mail", _Mail),
        "wallets/{id}/top-ups": post_top_up,
        "blocks/{id:path}/lift": _acting("unblock"),  # a token may have a slash
    }  # fmt: skip
    return [
        *(Route(f"/v1/{path}", end, methods=["POST"]) for path, end in acts.items()),
        *(Route(f"/v1/{path}", end, methods=["GET"]) for path, end in reads.items()),
    ]


async def get_payments(request: Request) -> Response:
    """``?state=&stuck=true&lapsing=true&session=&account=&entity=&last4=&amount_minor=&token=&email=
    &receipt=&since=&until=&q=&after=<id>&limit=``"""
    state = _may(request, READ)
    names = ("state", "session", "account", "entity", "last4", "token", "email", "receipt", "q",
             "after")  # fmt: skip
    wanted: dict[str, Any] = {name: query.text(request, name) for name in names}
    wanted |= {name: query.flag(request, name) for name in ("stuck", "lapsing")}
    wanted |= {name: query.time(request, name) for name in ("since", "until")}
    if minor := query.text(request, "amount_minor"):
        wanted["amount"] = [query.number(minor, "amount_minor")]
    limit, now = query.limit(request), state.world.now
    async with state.reader.connection() as conn:
        return _list(await money_view.payments(conn, wanted, now, limit), limit)


async def get_payment(request: Request) -> Response:
    """A payment with its effects, the processor's items, refunds, disputes and acts."""
    state = _may(request, READ)
    async with state.reader.connection() as conn:
        return json_answer(await money_view.payment(conn, _id(request), state.world.now))


async def get_debts(request: Request) -> Response:
    """``?entity=&account=&session=&closed=true&after=&limit=``"""
    state = _may(request, READ)
    limit = query.limit(request)
    async with state.reader.connection() as conn:
        found = await money_view.debts(
            conn, entity=query.text(request, "entity"), account=query.text(request, "account"),
            session=query.text(request, "session"), open_only=not query.flag(request, "closed"),
            after=query.text(request, "after"), limit=limit,
        )  # fmt: skip
    return _list(found, limit)


async def get_suspense(request: Request) -> Response:
    """``?entity=&state=suspense&after=&limit=``: payments at terminals."""
    state = _may(request, READ)
    limit = query.limit(request)
    async with state.reader.connection() as conn:
        found = await money_view.suspense(
            conn, entity=query.text(request, "entity"),
            state=query.text(request, "state") or "suspense",
            after=query.text(request, "after"), limit=limit,
        )  # fmt: skip
    return _list(found, limit)


async def get_refunds(request: Request) -> Response:
    """``?entity=&state=&session=&after=&limit=``"""
    state = _may(request, READ)
    limit = query.limit(request)
    async with state.reader.connection() as conn:
        found = await money_view.refunds(
            conn, entity=query.text(request, "entity"), state=query.text(request, "state"),
            session=query.text(request, "session"), after=query.text(request, "after"), limit=limit,
        )  # fmt: skip
    return _list(found, limit)


async def get_refund(request: Request) -> Response:
    """A refund with what goes back by which payment, and its acts."""
    state = _may(request, READ)
    async with state.reader.connection() as conn:
        return json_answer(await money_view.refund(conn, _id(request)))


async def get_disputes(request: Request) -> Response:
    """``?entity=&closed=true&after=&limit=``"""
    return await _open(request, money_view.disputes)


async def get_evidence(request: Request) -> Response:
    """What would be sent for a dispute now."""
    state = _may(request, READ)
    async with state.reader.connection() as conn:
        return json_answer(await disputes.evidence(conn, _id(request)))


async def get_evidence_file(request: Request) -> Response:
    """A PDF that goes, or went, with the evidence: ``receipt`` or ``service_documentation``."""
    state = _may(request, READ)
    field = request.path_params["field"].replace("\0", "")
    async with state.reader.connection() as conn:
        content = await evidence_files.shown(conn, _id(request), field)
    return Response(content, media_type="application/pdf", headers={"Cache-Control": "no-store"})


async def get_warnings(request: Request) -> Response:
    """``?entity=&closed=true&after=&limit=``: early fraud warnings, each with the act that is
    proposed for it: ``refund`` while that helps, else null."""
    return await _open(request, money_view.warnings)


async def _open(request: Request, read: Callable[..., Awaitable[list[dict[str, Any]]]]) -> Response:
    """Those that are not over, of an entity; ``closed``: all."""
    state = _may(request, READ)
    limit = query.limit(request)
    async with state.reader.connection() as conn:
        found = await read(
            conn, entity=query.text(request, "entity"),
            open_only=not query.flag(request, "closed"),
            after=query.text(request, "after"), limit=limit,
        )  # fmt: skip
    return _list(found, limit)


async def get_wallet(request: Request) -> Response:
    """An account's prepaid balances and their moves."""
    state = _may(request, READ)
    async with state.reader.connection() as conn:
        return json_answer(await money_view.wallet(conn, _id(request)))


async def get_blocks(request: Request) -> Response:
    """``?after=<number>&limit=``: who may not charge, and why."""
    state = _may(request, READ)
    limit, after = query.limit(request), query.text(request, "after")
    async with state.reader.connection() as conn:
        rows = await blocks.listed(
            conn, after=query.number(after, "after") if after else 0, limit=limit
        )
    return json_answer({"items": rows, "after": rows[-1]["number"] if len(rows) == limit else None})


async def post_refund(request: Request) -> Response:
    """``{"session_id", "reason", "kind": "correction" | "goodwill"}`` and one of ``"whole": true``,
    ``"lines": [2]`` and ``"amount_minor": 350``. 201; ``state`` says whether it waits for a second
    person."""
    state = _may(request, "refunds:write")
    name, key, raw = await _asked(request, "refunds:write")

    async def act() -> Response:
        body = _body(raw, _Refund)
        scope: dict[str, Any] = {"whole": True} if body.whole else {}
        scope |= {"lines": list(body.lines)} if body.lines else {}
        scope |= {"amount_minor": body.amount_minor} if body.amount_minor is not None else {}
        found = await refunds.ask(
            state.world, query.an_id(body.session_id, "$.session_id"), scope, body.kind,
            body.reason, actor=f"key:{name}", key=f"key:{name}:{key}",
        )  # fmt: skip
        return json_answer(found, 201)

    return await _woken(state, once(request, name, raw, act))


async def post_top_up(request: Request) -> Response:
    """``{"entity_id", "amount_minor", "reference"?, "reason"?}``: charges the account's card; with
    ``"recorded": true`` it notes money that came another way. 201."""
    state = _may(request, "payments:write")
    name, key, raw = await _asked(request, "payments:write")

    async def act() -> Response:
        body = _body(raw, _TopUp)
        reference = body.reference or f"{name}:{key}"
        given = {"entity_id": body.entity_id, "actor": f"key:{name}", "reason": body.reason}
        account = _id(request)
        if body.recorded:
            await wallets.record(state.world, account, body.amount_minor, reference, **given)
            return json_answer({"account_id": account, "done": "recorded"}, 201)
        payment_id = await wallets.top_up(
            state.world, account, body.amount_minor, reference, **given
        )
        return json_answer({"account_id": account, "payment_id": payment_id,
                            "done": "being charged"}, 201)  # fmt: skip

    return await _woken(state, once(request, name, raw, act))


def _acting(act_name: str, form: type[Any] = _Why) -> Endpoint:
    """The endpoint of an act: 200 and what was done."""

    async def endpoint(request: Request) -> Response:
        scope = money_desk.ACTS[act_name].scope
        state = _may(request, scope)
        name, key, raw = await _asked(request, scope)

        async def act() -> Response:
            body = msgspec.structs.asdict(_body(raw, form))
            asked = Asked(subject=_subject(request), actor=f"key:{name}", key=key, **body)
            return json_answer(await money_desk.do(state.world, act_name, asked))

        return await _woken(state, once(request, name, raw, act))

    return endpoint


def _subject(request: Request) -> str:
    part = request.path_params.get("part")
    return f"{_id(request)}/{query.number(part, 'part')}" if part else _id(request)


def _id(request: Request) -> str:
    return query.an_id(request.path_params["id"], "id")


def _may(request: Request, scope: str) -> State:
    state: State = request.app.state.wattledger
    state.keys.require(request, scope)
    return state


async def _asked(request: Request, scope: str) -> tuple[str, str, bytes]:
    """The name of the API key, the idempotency key, and the body."""
    state: State = request.app.state.wattledger
    name = state.keys.require(request, scope)
    key = request.headers.get("idempotency-key", "").strip()
    if not key:
        raise BadInput("Idempotency-Key", None, "one, of your own: this moves money")
    return name, key.strip('"'), await read_body(request, BODY_MAX_BYTES)


def _body(raw: bytes, form: type[Any]) -> Any:
    try:
        return msgspec.json.decode(raw or b"{}", type=form)
    except msgspec.ValidationError as error:
        raise bad_input(error, form) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("$", raw[:80].decode("utf-8", "replace"), f"JSON: {error}") from None


async def _woken(state: State, answering: Awaitable[Response]) -> Response:
    answer = await answering
    state.wake()
    return answer


def _list(rows: list[dict[str, Any]], limit: int) -> Response:
    following = rows[-1]["id"] if len(rows) == limit else None
    return json_answer({"items": rows, "after": following})
