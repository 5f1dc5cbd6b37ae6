"""Payments over the API: read with one scope, moved with another, each move with a key and a
record."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from wattledger.api import money
from wattledger.api.app import make_app
from wattledger.api.keys import Keys
from wattledger.api.state import State
from wattledger.clock import DrivenClock
from wattledger.config import ApiKey
from wattledger.db.connect import Database, Pool
from wattledger.db.embedded import EmbeddedServer
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.ids import derive
from wattledger.pipeline.world import World
from wattledger.receipts import links

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from paid_template import paid_template
from seed import FULL, OPEN
from seed_config import NOW, digest
from seed_payments import (
    ASKED,
    DEBTOR,
    DISPUTE,
    INQUIRY,
    LAPSING,
    PARKED,
    STUCK,
    SUSPENSE,
    TIE,
    TOPUP,
)

SECRET = "0123456789abcdef0123456789abcdef"
KEYS = (
    ApiKey("looker", "LOOKER", ("payments:read", "sessions:read")),
    ApiKey("clerk", "CLERK", ("payments:read", "payments:write", "refunds:write")),
    ApiKey("chief", "CHIEF", ("refunds:approve",)),
)


def secrets(name: str) -> str:
    return SECRET if name == "LINKS" else name.lower()


@pytest.fixture(scope="session")
def template(server: EmbeddedServer, template: str) -> str:
    """Every database of these tests is the seeded network."""
    return paid_template(server, template)


@pytest.fixture
async def client(database: Database, pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """The API over the seeded network, its pages behind a password."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        body = {"link_secret_env": "LINKS"}
        key = digest("receipts", "receipts", body)
        conn.execute("INSERT INTO config_version VALUES (%s, 'receipts', 'receipts', %s)",
                     (key, Jsonb(body)))  # fmt: skip
        conn.execute(
            "INSERT INTO config_activation (kind, key, valid_from, digest)"
            " VALUES ('receipts', 'receipts', %s, %s)",
            (NOW - timedelta(days=9), key),
        )
    world = World(Work(pool, DrivenClock(NOW)))
    state = State(world, pool, Keys(KEYS, secrets), secrets, lambda: None)
    app = make_app(state, [], page_password="open sesame")
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as found:
        yield found


def by(name: str, key: str | None = None) -> dict[str, str]:
    return {"authorization": f"Bearer {name}", **({"idempotency-key": key} if key else {})}


async def get(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(f"/v1/{path}", headers=by("looker"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ids(client: httpx.AsyncClient, path: str) -> list[str]:
    return [row["id"] for row in (await get(client, path))["items"]]


async def test_nothing_is_read_or_moved_without_its_scope_or_moved_without_a_key(
    client: httpx.AsyncClient,
) -> None:
    for route in money.routes():
        path = route.path.replace("{id}", "x").replace("{part}", "1")  # type: ignore[attr-defined]
        (method,) = route.methods - {"HEAD"}  # type: ignore[attr-defined]
        assert (await client.request(method, path)).status_code == 401
        wrong = "chief" if method == "GET" else "looker"
        assert (await client.request(method, path, headers=by(wrong))).status_code == 403
        if method == "POST":
            decides = "/refunds/" in path and path.endswith(("approve", "refuse"))
            right = "chief" if decides else "clerk"
            answer = await client.post(path, headers=by(right), json={"reason": "x"})
            assert (answer.status_code, answer.json()["path"]) == (422, "Idempotency-Key")


async def test_payments_are_found_by_what_is_wrong_with_them(client: httpx.AsyncClient) -> None:
    assert await ids(client, "payments?state=parked") == [PARKED]
    assert await ids(client, "payments?stuck=true") == [STUCK]
    assert await ids(client, "payments?lapsing=true") == [LAPSING]
    assert await ids(client, f"payments?session={OPEN}") == [LAPSING]
    assert await ids(client, "payments?account=coop&state=captured") == [TOPUP]
    assert await ids(client, "payments?entity=nobody") == []
    assert (await client.get("/v1/payments?state=x", headers=by("looker"))).status_code == 422


async def test_payments_are_found_by_what_a_driver_has(client: httpx.AsyncClient) -> None:
    (full,) = await ids(client, f"payments?session={FULL}")
    for found in ("last4=4444", "amount_minor=4400", f"token=tok-{FULL}", "q=4444%2044.00",
                  "last4=4444&until=2026-11-04T00:00:00Z", f"q={FULL}"):  # fmt: skip
        expected = [] if "until" in found else [full]  # of the seed's, which has no time of its own
        assert await ids(client, f"payments?{found}") == expected, found
    assert await ids(client, "payments?last4=0005&since=2026-11-03T00:00:00Z") == [STUCK]
    assert await ids(client, "payments?email=nobody@example.com") == []
    assert await ids(client, "payments?receipt=chg_none/1") == []
    assert FULL in await ids(client, "sessions?q=4444")
    for wrong in ("payments?last4=42", "payments?amount_minor=1.5", "payments?since=x",
                  "payments?q=a+b+c+d+e+f+g", "sessions?q=a+b+c+d+e+f+g"):  # fmt: skip
        assert (await client.get(f"/v1/{wrong}", headers=by("looker"))).status_code == 422, wrong


async def test_warnings_are_read_with_what_is_proposed(client: httpx.AsyncClient) -> None:
    (warning,) = (await get(client, "fraud-warnings"))["items"]
    assert (warning["id"], warning["proposed"]) == ("issfr_1", "refund")
    assert warning["fraud_type"] == "unauthorized_use_of_card"
    assert await ids(client, "fraud-warnings?entity=nobody") == []


async def test_a_receipt_is_not_mailed_without_a_server(client: httpx.AsyncClient) -> None:
    at = f"/v1/sessions/{FULL}/receipt/mail"
    answer = await client.post(at, headers=by("clerk", "m1"), json={"to": "ann@example.com"})
    assert (answer.status_code, "no mail server" in answer.json()["error"]) == (409, True)


async def test_pages_follow_each_other_without_a_gap(client: httpx.AsyncClient) -> None:
    first = await get(client, "payments?limit=7")
    assert len(first["items"]) == 7
    second = await get(client, f"payments?limit=7&after={first['after']}")
    both = [row["id"] for row in (*first["items"], *second["items"])]
    assert both == sorted(set(both))


async def test_a_payment_has_everything_about_it(client: httpx.AsyncClient) -> None:
    found = await get(client, f"payments/{STUCK}")
    assert (found["stuck"], found["effects"][0]["state"]) == ("stripe.capture", "unknown")
    assert found["stuck_why"] == "no answer from api.stripe.com: ReadTimeout"
    top = await get(client, f"payments/{TOPUP}")
    assert [row["state"] for row in top["refunds"]] == ["failed"]
    assert top["refunded_minor"] == 0  # what failed did not go back
    assert (await client.get("/v1/payments/pay_none", headers=by("looker"))).status_code == 404


async def test_the_other_lists(client: httpx.AsyncClient) -> None:
    (debt,) = (await get(client, "debts"))["items"]
    assert (debt["session_id"], debt["amount_minor"], debt["part"]) == (DEBTOR, 150, 2)
    assert await ids(client, "suspense") == [SUSPENSE, TIE]
    assert len(await ids(client, "refunds")) == 2
    assert await ids(client, "disputes") == [INQUIRY, DISPUTE]
    wallet = await get(client, "wallets/coop")
    # 50.00 filled, 12.40 drawn
    assert wallet["balances"] == [{"entity_id": "lind", "currency": "EUR", "balance_minor": 3760}]
    evidence = await get(client, f"disputes/{DISPUTE}/evidence")
    assert evidence["dispute"]["id"] == DISPUTE
    for file, expected in (("receipt", 200), ("service_documentation", 200), ("x", 404)):
        at = f"/v1/disputes/{DISPUTE}/evidence/{file}.pdf"
        answer = await client.get(at, headers=by("looker"))
        assert (answer.status_code, answer.content[:5] == b"%PDF-") == (expected, expected == 200)


async def test_a_block_is_lifted_once_and_it_is_written_down_by_whom(
    client: httpx.AsyncClient, database: Database
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO token_block (driver, blocked, why, cause, at)"
            " VALUES ('fp_9', true, 'blocked', 'du_9', now())"
        )
    path, body = "/v1/blocks/fp_9/lift", {"reason": "the bank was wrong"}
    answer = await client.post(path, headers=by("clerk", "k1"), json=body)
    assert (answer.status_code, answer.json()) == (
        200, {"id": "fp_9", "kind": "card", "done": "lifted"}
    )  # fmt: skip
    again = await client.post(path, headers=by("clerk", "k2"), json=body)
    assert again.status_code == 404
    without = await client.post(path, headers=by("clerk", "k3"), json={})
    assert without.status_code == 422
    with psycopg.connect(database.conninfo(Role.READER)) as conn:
        acts = conn.execute("SELECT actor, act, reason FROM money_act WHERE subject = 'fp_9'")
        assert acts.fetchall() == [("key:clerk", "unblock", "the bank was wrong")]


async def test_who_is_blocked_is_listed_and_a_token_with_a_slash_is_lifted(
    client: httpx.AsyncClient, database: Database
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO token_block (token, account_id, blocked, why, cause, at) VALUES"
            " ('A/1', NULL, true, 'in_debt', 'chg_1/1', now()),"
            " (NULL, 'coop', true, 'blocked', 'du_1', now()),"
            " ('B/2', NULL, true, 'in_debt', 'chg_2/1', now()),"
            " ('b/2', NULL, false, 'paid', 'chg_2/1', now())"
        )
    found = await get(client, "blocks")
    assert [(b["id"], b["kind"], b["why"]) for b in found["items"]] == [
        ("A/1", "token", "in_debt"), ("coop", "account", "blocked"),
    ]  # fmt: skip
    assert found["after"] is None
    page = await get(client, "blocks?limit=1")
    rest = await get(client, f"blocks?limit=1&after={page['after']}")
    assert [b["id"] for b in (*page["items"], *rest["items"])] == ["A/1", "coop"]
    for key, path in (("k1", "A%2F1"), ("k2", "coop")):
        answer = await client.post(
            f"/v1/blocks/{path}/lift", headers=by("clerk", key), json={"reason": "paid in cash"}
        )
        assert answer.status_code == 200
    assert (await get(client, "blocks"))["items"] == []


async def test_a_parked_payment_is_sent_once_and_it_is_written_down_by_whom(
    client: httpx.AsyncClient,
) -> None:
    path, body = f"/v1/payments/{PARKED}/release", {"reason": "a fleet on tour, called them"}
    answer = await client.post(path, headers=by("clerk", "k1"), json=body)
    assert (answer.status_code, answer.json()["done"]) == (200, "released")
    again = await client.post(path, headers=by("clerk", "k1"), json=body)
    assert again.content == answer.content
    other = await client.post(path, headers=by("clerk", "k2"), json=body)
    assert other.status_code == 409
    found = await get(client, f"payments/{PARKED}")
    assert [effect["kind"] for effect in found["effects"]] == ["stripe.charge"]
    assert [(act["actor"], act["act"], act["reason"]) for act in found["acts"]] == [
        ("key:clerk", "payment.release", "a fleet on tour, called them")
    ]


async def test_what_a_payment_took_too_much_is_given_back_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    """25.00 that pay for nothing."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO payment (id, entity_id, processor_id, currency, hold_minor, state)"
            " VALUES ('pay_over', 'north', 'stripe', 'USD', 2500, 'charging')"
        )
        conn.execute(
            "UPDATE payment SET state = 'captured', captured_minor = 2500, external_charge_id ="
            " 'ch_over' WHERE id = 'pay_over'"
        )
    assert (await get(client, "payments/pay_over"))["excess_minor"] == 2_500
    path, body = "/v1/payments/pay_over/give-back", {"reason": "captured by hand"}
    answer = await client.post(path, headers=by("clerk", "k1"), json=body)
    assert (answer.status_code, answer.json()["done"]) == (200, "given back")
    again = await client.post(path, headers=by("clerk", "k1"), json=body)
    assert again.json() == answer.json()
    assert (await client.post(path, headers=by("clerk", "k2"), json=body)).status_code == 409
    found = await get(client, "payments/pay_over")
    (back,) = found["refunds"]
    assert (back["id"], back["amount_minor"]) == (answer.json()["payment_refund_id"], 2_500)
    assert found["excess_minor"] == 0


async def test_only_a_charge_that_was_announced_is_stopped(client: httpx.AsyncClient) -> None:
    for payment_id, status in ((PARKED, 409), ("pay_gone", 404)):
        answer = await client.post(
            f"/v1/payments/{payment_id}/stop", headers=by("clerk", payment_id), json={"reason": "x"}
        )
        assert answer.status_code == status


async def test_a_reason_is_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/v1/payments/{PARKED}/refuse", headers=by("clerk", "k1"))
    assert (answer.status_code, answer.json()["path"]) == (422, "$.reason")
    answer = await client.post(
        f"/v1/payments/{PARKED}/refuse", headers=by("clerk", "k1"), content=b'{"reson": "x"}'
    )
    assert answer.status_code == 422


async def test_a_debt_is_written_off_and_is_no_more(client: httpx.AsyncClient) -> None:
    (debt,) = (await get(client, "debts"))["items"]
    answer = await client.post(f"/v1/debts/{debt['id']}/write-off", headers=by("clerk", "k1"),
                               json={"reason": "the card is gone"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert await ids(client, "debts") == []
    assert (await get(client, "debts?closed=true"))["items"][0]["state"] == "written_off"


async def test_money_in_suspense_is_kept_by_a_person(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/v1/suspense/{SUSPENSE}/keep", headers=by("clerk", "k1"),
                               json={"reason": "nobody came for it"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert await ids(client, "suspense") == [TIE]
    answer = await client.post(f"/v1/suspense/{TIE}/match", headers=by("clerk", "k2"),
                               json={"session_id": FULL, "reason": "x"})  # fmt: skip
    assert answer.status_code == 409  # that session is paid by its card


async def test_a_refund_is_asked_for_once_under_its_key(client: httpx.AsyncClient) -> None:
    body = {"session_id": FULL, "amount_minor": 350, "reason": "wrong price", "kind": "correction"}
    answer = await client.post("/v1/refunds", headers=by("clerk", "k1"), json=body)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["amount_minor"], answer.json()["asked_by"]) == (350, "key:clerk")
    again = await client.post("/v1/refunds", headers=by("clerk", "k1"), json=body)
    assert again.json()["id"] == answer.json()["id"]
    changed = await client.post("/v1/refunds", headers=by("clerk", "k1"),
                                json={**body, "amount_minor": 400})  # fmt: skip
    assert changed.status_code == 422
    one = await get(client, f"refunds/{answer.json()['id']}")
    assert [act["act"] for act in one["acts"]] == ["refund.ask"]


DEBT = f"debts/{derive('chg', DEBTOR)}/2"


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (f"payments/{PARKED}/release", {}), (f"payments/{PARKED}/refuse", {}),
        (f"{DEBT}/write-off", {}), (f"suspense/{SUSPENSE}/return", {}),
        (f"suspense/{SUSPENSE}/keep", {}), (f"refunds/{ASKED}/approve", {}),
        (f"refunds/{ASKED}/refuse", {}), ("payment-refunds/prf_1/again", {}),
        ("payment-refunds/prf_1/paid-otherwise", {}),
        (f"disputes/{DISPUTE}/submit", {"note": "It was them."}), ("blocks/fp_9/lift", {}),
    ],
)  # fmt: skip
async def test_an_act_whose_answer_was_lost_is_told_again_not_refused(
    client: httpx.AsyncClient, database: Database, path: str, more: dict[str, Any]
) -> None:
    """The process died after the act and before its answer was kept."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO token_block (driver, blocked, why, cause, at)"
            " VALUES ('fp_9', true, 'blocked', 'du_9', now())"
        )
    who = "chief" if path.startswith("refunds/") else "clerk"

    async def act(key: str, reason: str = "they called") -> httpx.Response:
        body = {"reason": reason, **more}
        return await client.post(f"/v1/{path}", headers=by(who, key), json=body)

    first = await act("k1")
    assert first.status_code == 200, first.text
    _forget_answers(database)
    again = await act("k1")
    assert (again.status_code, again.json()) == (200, first.json())
    _forget_answers(database)
    # Under the key of another request, and anew.
    assert (await act("k1", "another")).status_code == 409
    assert (await act("k2")).status_code in ANEW.get(path, (404, 409))
    with psycopg.connect(database.conninfo(Role.READER)) as conn:
        acts = conn.execute("SELECT actor, detail->>'key' FROM money_act").fetchall()
    assert acts == [(f"key:{who}", "k1")]


# What is decided so already is said, and not done.
ANEW = {f"suspense/{SUSPENSE}/{act}": (200,) for act in ("return", "keep")}


def _forget_answers(database: Database) -> None:
    with psycopg.connect(database.conninfo(Role.OWNER)) as conn:
        conn.execute("DELETE FROM inbox WHERE source LIKE 'api:idempotency:%'")


# --- receipts ----------------------------------------------------------------------------------


async def test_a_receipt_by_link_needs_no_password_and_a_wrong_link_tells_nothing(
    client: httpx.AsyncClient,
) -> None:
    token = links.token(SECRET, FULL)
    page = await client.get(f"/r/{token}")
    assert page.status_code == 200
    assert "€44.00" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    paper = await client.get(f"/r/{token}.pdf")
    assert paper.headers["content-type"] == "application/pdf"
    assert paper.content == (await client.get(f"/r/{token}.pdf")).content
    nothing = [
        await client.get(path)
        for path in (
            f"/r/{token[:-1]}x", f"/r/{links.token(SECRET[::-1], FULL)}", f"/r/{FULL}",
            f"/r/{links.token(SECRET, 'ses_nobody')}", f"/r/{token}.exe", f"/r/{token}.xml",
            f"/r/{token}?document=9", f"/r/{token}?document=x",
        )
    ]  # fmt: skip
    assert {(a.status_code, a.text) for a in nothing} == {(404, "There is no such receipt.\n")}
    assert (await client.get("/sessions")).status_code == 401  # everything else asks
    allowed = {"authorization": "Basic " + base64.b64encode(b"x:open sesame").decode()}
    assert (await client.get("/sessions", headers=allowed)).status_code == 404


async def test_before_the_bill_the_link_says_to_come_again(client: httpx.AsyncClient) -> None:
    page = await client.get(f"/r/{links.token(SECRET, OPEN)}")
    assert page.status_code == 200
    assert "Not billed yet" in page.text
    assert (await client.get(f"/r/{links.token(SECRET, OPEN)}.pdf")).status_code == 404


async def test_a_receipt_by_the_api(client: httpx.AsyncClient) -> None:
    found = await get(client, f"sessions/{FULL}/receipt")
    assert (found["total_minor"], found["open_minor"]) == (4400, 0)
    for kind, media in (("pdf", "application/pdf"), ("html", "text/html; charset=utf-8")):
        answer = await client.get(f"/v1/sessions/{FULL}/receipt.{kind}", headers=by("looker"))
        assert answer.headers["content-type"] == media
    assert (await client.get(f"/v1/sessions/{FULL}/receipt")).status_code == 401


@pytest.mark.parametrize("reason", ["a\0b", "x" * 1001, " "])
async def test_a_reason_is_of_a_length_and_can_be_kept(
    client: httpx.AsyncClient, reason: str
) -> None:
    body = {"session_id": FULL, "reason": reason, "amount_minor": 5}
    answer = await client.post("/v1/refunds", headers=by("clerk", "r1"), json=body)
    assert (answer.status_code, answer.json()["path"]) == (422, "$.reason")


@pytest.mark.parametrize("session_id", ["a\0b", "x" * 201])
async def test_a_session_is_named_by_what_can_be_an_id(
    client: httpx.AsyncClient, session_id: str
) -> None:
    body = {"session_id": session_id, "reason": "r"}
    answer = await client.post(f"/v1/suspense/{TIE}/match", headers=by("clerk", "r1"), json=body)
    assert (answer.status_code, answer.json()["path"]) == (422, "$.session_id")


@pytest.mark.parametrize(
    ("change", "path"),
    [({"amount_minor": 10**30}, "$.amount_minor"), ({"amount_minor": 2**62}, "$.amount_minor"),
     ({"reference": "a\0b"}, "$.reference"), ({"reference": "x" * 401}, "$.reference"),
     ({"reason": "a\0b"}, "$.reason"), ({"reason": "x" * 1001}, "$.reason")],
)  # fmt: skip
async def test_what_the_books_can_not_hold_is_not_recorded(
    client: httpx.AsyncClient, change: dict[str, Any], path: str
) -> None:
    body = {"entity_id": "lind", "amount_minor": 100, "reference": "r", "recorded": True} | change
    answer = await client.post("/v1/wallets/coop/top-ups", headers=by("clerk", "w1"), json=body)
    assert (answer.status_code, answer.json()["path"]) == (422, path)


async def test_an_address_that_asks_too_often_for_receipts_has_to_wait(
    client: httpx.AsyncClient,
) -> None:
    """60 at once, as at the charge point's page; one every half second after that."""
    seen = [(await client.get("/r/none")).status_code for _ in range(70)]
    assert seen[:60] == [404] * 60
    assert seen[-1] == 429
