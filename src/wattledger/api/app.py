"""The HTTP edge: the API under ``/v1``, and the page at ``/``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wattledger.api import (
    anomalies,
    authorizations,
    cdrs,
    charge_points,
    commands,
    hooks,
    money,
    receipts,
    seen,
    sessions,
    starts,
    terminal_payments,
)
from wattledger.api.answers import error_answer, json_answer
from wattledger.api.body import read_body
from wattledger.api.password import PagePassword
from wattledger.api.report import report
from wattledger.api.state import State
from wattledger.clock import utc_text
from wattledger.errors import BadInput, NotFound, WattledgerError
from wattledger.pipeline.reconcile import reconcile
from wattledger.wire.numbers import decode_json, parse_time


def make_app(
    state: State, page: Sequence[BaseRoute], page_password: str | None = None
) -> Starlette:
    """The application; ``page`` are the routes of the page, behind ``page_password`` if any."""
    routes: list[BaseRoute] = [
        Route("/v1/health", health),
        Route("/v1/sessions", sessions.post, methods=["POST"]),
        Route("/v1/cdrs", cdrs.post, methods=["POST"]),
        Route("/v1/authorizations", authorizations.post, methods=["POST"]),
        Route("/v1/sessions", seen.get_many),
        Route("/v1/sessions/{session_id}", seen.get_one),
        *receipts.routes(),
        *money.routes(),
        Route("/v1/anomalies", anomalies.get_many),
        Route("/v1/anomalies/{anomaly_id}", anomalies.get_one),
        Route("/v1/anomalies/{anomaly_id}/acts", anomalies.post_act, methods=["POST"]),
        Route("/v1/charge-points", charge_points.get_many),
        *_starts(),
        *_commands(),
        Route("/v1/charge-points/{charge_point_id:path}", charge_points.get_one),
        Route("/v1/terminal-payments", terminal_payments.post, methods=["POST"]),
        Route("/v1/report", get_report),
        Route("/v1/reconciliations", post_reconciliation, methods=["POST"]),
        Route("/v1/clock", post_clock, methods=["POST"]),
        Route("/v1/webhooks/stripe/{processor_id}", hooks.from_stripe, methods=["POST"]),
        *page,
    ]
    guard = [Middleware(PagePassword, password=page_password)] if page_password else []
    app = Starlette(
        routes=routes, exception_handlers={WattledgerError: error_answer}, middleware=guard
    )
    app.state.wattledger = state
    return app


def _starts() -> list[BaseRoute]:
    """What is paid for before it starts."""
    one = "/v1/starts/{start_id}"
    return [
        Route("/v1/starts", starts.post, methods=["POST"]),
        Route(one, starts.get_one),
        Route(one + "/cancel", starts.post_cancel, methods=["POST"]),
        Route(one + "/look", starts.post_look, methods=["POST"]),
        Route(one + "/present", starts.post_present, methods=["POST"]),
        Route(one + "/client-secret", starts.get_client_secret),
    ]


def _commands() -> list[BaseRoute]:
    """What is asked of charge points."""
    asked = {
        "remote-start": commands.post_remote_start,
        "remote-stop": commands.post_remote_stop,
        "clear-cache": commands.post_clear_cache,
        "trigger": commands.post_trigger,
    }
    at = "/v1/charge-points/{charge_point_id:path}/"
    return [
        Route("/v1/commands/{command_id:path}", commands.get_one),
        *(Route(at + name, act, methods=["POST"]) for name, act in asked.items()),
    ]


async def health(request: Request) -> Response:
    """Whether the database answers, and what time it is in business."""
    state: State = request.app.state.wattledger
    async with state.reader.connection() as conn:
        await conn.execute("SELECT 1")
    return json_answer({"ok": True, "now": utc_text(state.world.now)})


async def get_report(request: Request) -> Response:
    """The figures of the identities, from one snapshot."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    async with state.reader.connection() as conn:
        return json_answer(await report(conn))


async def post_reconciliation(request: Request) -> Response:
    """Match everything now."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:write")
    return json_answer({"breaks": await reconcile(state.world)})


async def post_clock(request: Request) -> Response:
    """Move a driven clock to ``{"now": …}``, doing all that falls due on the way."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "clock")
    if state.conductor is None:
        raise NotFound('the clock is the machine\'s; set server.clock = "driven" to move it')
    body = decode_json(await read_body(request, 10_000), "$")
    if not isinstance(body, dict) or not isinstance(body.get("now"), str):
        raise BadInput("$.now", body, "a time such as 2026-11-24T10:15:00Z")
    to: datetime = parse_time(body["now"], "$.now")
    done, following = await state.conductor.move(to)
    return json_answer(
        {
            "now": utc_text(state.world.now),
            "executed": done,
            "next_due_at": utc_text(following) if following else None,
        }
    )
