"""Money back, from the sandbox to the bank: refunds, one that fails, a dispute lost and one won, an
early fraud warning, and none of it told by a webhook.

Each session is 10 kWh at 0.30 = 3.00 and 10 % tax: 3.30.
"""

from __future__ import annotations

import itertools
from typing import Any

import httpx

from rig.day import assert_identities
from rig.network import API_KEY, CARD, Body, at
from rig.points import Point
from rig.system import System, system

_keys = itertools.count(1)


def may_refund(body: Body) -> None:
    body["api_key"][0]["scopes"] += ["payments:read", "refunds:write", "payments:write"]


async def asked(running: System, path: str, **body: Any) -> Any:
    """A call that moves money."""
    headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": f"k{next(_keys)}"}
    answer: httpx.Response = await running.http.post(
        f"{running.server.http_url}/v1/{path}", json=body, headers=headers
    )
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def sessions(running: System, point: Point, count: int) -> list[str]:
    """So many sessions of 10 kWh, an hour each, captured; their ids in order."""
    for n in range(count):
        start = at(f"{9 + 2 * n:02}:00")
        await running.clock(start)
        transaction = await point.start(CARD, start, 10_000 * n)
        await running.clock(at(f"{10 + 2 * n:02}:00"))
        await point.stop(transaction, at(f"{10 + 2 * n:02}:00"), 10_000 * (n + 1))
        await point.status("Available", at(f"{10 + 2 * n:02}:00"))
        await running.clock(at(f"{10 + 2 * n:02}:05"))
    rows = await running.rows("SELECT id, state FROM session ORDER BY started_at")
    assert [row["state"] for row in rows] == ["billed"] * count
    return [row["id"] for row in rows]


async def adds_up(running: System) -> dict[str, Any]:
    """Proved, no break, the identities, and the processor's own word for its balance."""
    found = await running.report()
    assert found["ledger"]["proved"] is True
    assert found["breaks"] == []
    assert_identities(found)
    state = await running.sandbox.state()
    [balance] = await running.rows(
        "SELECT sum(debit_minor - credit_minor)::bigint AS minor FROM journal_line"
        " WHERE account = 'clearing.stripe'"
    )
    assert balance["minor"] == sum(state["balance"]["usd"].values())
    return dict(found["money"])


async def _charge_of(running: System, session_id: str) -> str:
    [row] = await running.rows(
        "SELECT external_charge_id AS id FROM payment WHERE session_id = %s", session_id
    )
    return str(row["id"])


async def test_refunds_and_disputes_come_to_the_same_everywhere(dsn: str) -> None:
    async with system(dsn, change=may_refund) as running:
        point = running.point("CP-1")
        await point.boot()
        one, two, three, four = await sessions(running, point, 4)
        # The whole, some of it as goodwill, and a refund that the card's bank sends back.
        await asked(running, "refunds", session_id=one, whole=True, reason="r", kind="correction")
        await asked(running, "refunds", session_id=two, amount_minor=110, reason="slow",
                    kind="goodwill")  # fmt: skip
        await running.clock(at("20:00"))
        assert await running.rows("SELECT state, amount_minor FROM payment_refund ORDER BY 2") == [
            {"state": "done", "amount_minor": 110}, {"state": "done", "amount_minor": 330},
        ]  # fmt: skip
        # From here on no webhook comes: the nightly sweep finds it all.
        await running.sandbox.events_to(None)
        for session_id in (three, four):
            await running.sandbox.sim("dispute", charge=await _charge_of(running, session_id))
        await running.clock(at("12:00", 3))
        disputes = await running.rows("SELECT id, session_id, status FROM dispute ORDER BY id")
        assert {row["session_id"] for row in disputes} == {three, four}
        of = {row["session_id"]: row["id"] for row in disputes}
        money = await adds_up(running)
        # 3.30 and 15.00 each.
        assert (money["refunds"], money["disputes_net"]) == (440, 2 * 1_830)
        await asked(running, f"disputes/{of[three]}/submit", note="She charged for an hour.")
        await running.clock(at("12:30", 3))
        await running.sandbox.sim(f"dispute/{of[three]}/close", outcome="won")
        await running.sandbox.sim(f"dispute/{of[four]}/close", outcome="lost")
        [external] = await running.rows(
            "SELECT external_refund_id AS id FROM payment_refund WHERE amount_minor = 110"
        )
        await running.sandbox.sim(f"refund/{external['id']}/fail")
        for day in (4, 5, 6, 9):
            await running.clock(at("12:00", day))
        ended = await running.rows(
            "SELECT id, status, submitted_at IS NOT NULL AS sent FROM dispute"
        )
        assert {row["id"]: (row["status"], row["sent"]) for row in ended} == {
            of[three]: ("won", True), of[four]: ("lost", False),
        }  # fmt: skip
        assert await running.rows("SELECT state, amount_minor FROM payment_refund ORDER BY 2") == [
            {"state": "failed", "amount_minor": 110}, {"state": "done", "amount_minor": 330},
        ]  # fmt: skip
        money = await adds_up(running)
        assert money["refunds"] == 330, "what failed is with us again"
        books = {
            row["account"]: row["minor"]
            for row in await running.rows(
                "SELECT account, sum(debit_minor - credit_minor)::bigint AS minor"
                " FROM journal_line GROUP BY 1"
            )
        }
        assert (books["receivable.dispute"], books["expense.disputes"]) == (0, 330)
        assert (books["payable.driver"], books["expense.goodwill"]) == (-110, 100)
        assert books["receivable.driver"] == 0
