"""As much of ``wattledger serve`` as the demo needs to run: its figures add up by fiat.

``python fake_server.py <how> serve --config FILE --json-ready --business-time ISO``, where
``how`` is ``right``, ``off_by_one`` (one session's energy) or ``dies`` (after some calls).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fake_csms import SUBPROTOCOLS, Fake
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from websockets.asyncio.server import serve

from wattledger import config as configuration

HOW, PATH = sys.argv[1], Path(sys.argv[sys.argv.index("--config") + 1])
CONFIG = configuration.read(PATH)
FAKE = Fake(secret=os.environ["WATTLEDGER_CHARGERS_SECRET"], blocked={"LOST-CARD"})
CALLS = Counter[str]()


def sessions() -> list[dict[str, Any]]:
    started, found = {}, []
    for _, point, action, payload in FAKE.frames:
        if action == "StartTransaction":
            started[point] = payload["meter_start"]
        elif action == "StopTransaction":
            ref = str(payload["transaction_id"])
            found.append((point, ref, payload["meter_stop"] - started[point]))
    rows = [
        {"charge_point_id": p, "transaction_ref": t, "external_id": None, "energy_wh": wh}
        for p, t, wh in found
    ] + [
        {
            "charge_point_id": body["charge_point_id"],
            "transaction_ref": None,
            "external_id": body["session_id"],
            "energy_wh": body["readings"][-1]["energy_wh"] - body["readings"][0]["energy_wh"],
        }
        for _, body in FAKE.posted
    ]
    if HOW == "off_by_one":
        rows[0]["energy_wh"] += 1
    return [{"id": f"ses_{i:04d}", **row} for i, row in enumerate(rows)]


async def listed(request: Request) -> JSONResponse:
    after, limit = request.query_params.get("after", ""), int(request.query_params["limit"])
    return JSONResponse({"items": [r for r in sessions() if r["id"] > after][:limit]})


async def clock(request: Request) -> JSONResponse:
    CALLS["clock"] += 1
    if HOW == "dies" and CALLS["clock"] > 20:
        print("the disk is full", file=sys.stderr, flush=True)
        os._exit(9)
    now = json.loads(await request.body())["now"]
    FAKE.clock.append(datetime.fromisoformat(now))
    return JSONResponse({"now": now, "executed": 0, "next_due_at": None})


async def posted(request: Request) -> JSONResponse:
    FAKE.posted.append((dict(request.headers), json.loads(await request.body())))
    return JSONResponse({}, 201)


async def listed_money(_: Request) -> JSONResponse:
    """Nobody pays by card: there is nothing to give back, and nothing is disputed."""
    return JSONResponse({"items": []})


async def report(_: Request) -> JSONResponse:
    refused = sum(
        payload["id_tag"].startswith("LOST-CARD")
        for _, _, action, payload in FAKE.frames
        if action == "Authorize"
    )
    billed, wh = len(sessions()), sum(s["energy_wh"] for s in sessions())
    external = sum(body["external"]["amount_minor"] for _, body in FAKE.posted)
    await tell_the_books(external)
    zero = ("captured", "invoiced", "wallet", "roaming", "waived", "debt", "pending", "refunds")
    zero += ("refund_due", "disputes_net", "fees", "paid_out", "in_transit")
    money = {"currency": "USD", "charged": external, "external": external}
    return JSONResponse(
        {
            "sessions": {
                **{"refused": refused, "held": 0, "final": billed, "billed": billed, "free": 0}
            },
            "energy_wh": {"delivered": wh, "billed": wh, "free": 0, "held": 0, "explained": 0},
            "money": money | dict.fromkeys(zero, 0),
            "payments": dict.fromkeys(
                ("second_charges", "debts", "terminal_matched", "refunds", "disputes"), 0
            ),
            "ledger": {"entries": 0, "postings": 0, "proved": True},
            "webhooks": {"sent": 1, "acknowledged": 1},
            "breaks": [],
        }
    )


async def tell_the_books(total_minor: int) -> None:
    target = CONFIG.target[0]
    now = datetime.now(UTC)
    data = {"total_minor": total_minor, "currency": "USD"}
    body = json.dumps({"type": "session.billed", "timestamp": now.isoformat(), "data": data})
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(time.time())),
        "webhook-signature": Webhook(os.environ[target.secret_env]).sign("msg_1", now, body),
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(target.url, content=body, headers=headers)
    answer.raise_for_status()


async def main() -> None:
    app = Starlette(
        routes=[
            Route("/v1/clock", clock, methods=["POST"]),
            Route("/v1/sessions", posted, methods=["POST"]),
            Route("/v1/sessions", listed),
            Route("/v1/payments", listed_money),
            Route("/v1/disputes", listed_money),
            Route("/v1/report", report),
        ]
    )
    port = CONFIG.server.http_port
    http = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", ws="none"))
    async with serve(
        FAKE.connected, "127.0.0.1", CONFIG.server.ocpp_port, subprotocols=SUBPROTOCOLS
    ):
        serving = asyncio.create_task(http.serve())
        while not http.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        print(json.dumps({"ready": True, "http_port": port}), flush=True)
        await serving


asyncio.run(main())
