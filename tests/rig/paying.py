"""A day on which everybody pays in their own way, up to the payout, and what it comes to.

0.30 per kWh and 10 % tax: 10 kWh are 3.30. Cards hold 25.00 unless a rule says less.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Protocol

import httpx

from rig.day import assert_identities
from rig.network import ENTITY, SECRETS, SITE, Body, account, at, charge_point
from rig.outside import Outside
from rig.points import Lost, Point
from rig.sandbox import Sandbox
from rig.system import System
from wattledger.payments.terminal.signing import signed

AGAIN, MORE, OWES, BROKE, PREPAID, TAPPED = (
    "AGAIN-1", "MORE-1", "OWES-1", "BROKE-1", "PREPAID-1", "TAP",
)  # fmt: skip

# app        10 kWh  3.30, captured
# checkout   20 kWh  6.60, captured, disputed, won
# terminal   20 kWh  6.60, captured; 1.10 of it given back: charged 5.50
# vendor     10 kWh  3.30, which the vendor takes: external
# more      100 kWh 33.00, captured of 50.00: 25.00 and as much again
# again      40 kWh 13.20: 10.00 captured, 3.20 charged again
# owes       40 kWh 13.20: 10.00 captured, 3.20 owed, and paid a day later
# broke       5 kWh  1.65: its card says no, twice; written off
# prepaid    10 kWh  3.30 of the 620.00 that were charged: 20.00, and 600.00 that a person let go
# late       10 kWh  3.30, which a vendor takes: a person says which payment it is: external
# Of another payment at the vendor's, 2.00, nobody knows the session: it is kept. 700.00 more for
# the wallet a person refuses. 1.00 of "more" is given back in the dashboard, and taken over.
CAPTURED = (330, 660, 660, 3_300, 1_000, 320, 1_000, 320)
# 2.9 % and 0.30 of each, and of the 20.00 and 600.00: 0.40, twice 0.49, 1.26, twice 0.59 and 0.39,
# 0.88, 17.70
FEES = 40 + 2 * 49 + 126 + 2 * 59 + 2 * 39 + 88 + 1_770
# By a person for the terminal's, and in the dashboard.
BACK = 110 + 100
TOPUPS = 2_000 + 60_000
MONEY: dict[str, Any] = {
    "currency": "USD",
    "charged": 330 + 660 + 550 + 330 + 3_200 + 1_320 + 1_320 + 165 + 330 + 330,
    "captured": sum(CAPTURED),
    "invoiced": 0,
    "external": 660,
    "wallet": 330,
    "roaming": 0,
    "waived": 165,
    "debt": 0,
    "pending": 0,
    "refund_due": BACK,
    "topups": TOPUPS,
    "fees": FEES,
    "refunds": BACK,
    "disputes_net": 0,
    "paid_out": sum(CAPTURED) + TOPUPS - BACK - FEES,
    "in_transit": 0,
}
ENERGY_WH = {"delivered": 265_000, "billed": 265_000, "free": 0, "held": 0, "explained": 0}
SESSIONS = {"held": 0, "final": 10, "billed": 10, "free": 0, "adjusted": 2, "running": 0}
PAYMENTS = {"second_charges": 1, "debts": 2, "terminal_matched": 3, "refunds": 2, "disputes": 1}
# What stands at the processor: five holds, two charges and a debt's, two top-ups, and what came to
# nothing: the terminal's that was not wanted, the card that said no to a hold and to its debt.
INTENTS = {"succeeded": 10, "canceled": 1, "requires_payment_method": 2}

# Payouts are of the 2nd, and of the 3rd: the debt's and the dispute's.
MESSAGES = {
    "session.charging_ended": 10,
    "session.billed": 10,
    "session.refunded": 2,
    "refund.paid": 1,
    "dispute.opened": 1,
    "dispute.withdrawn": 1,
    "dispute.reinstated": 1,
    "dispute.closed": 1,
    "payout.paid": 2,
}

# The steps and effects that the plain day does not come by, each list in the order in which this
# one does. "act" is what a person decides next: the first top-up; in the last list what is let go
# of the parked and what is refused, what is kept of suspense and what is matched, and after the
# dispute the refund of the dashboard's that is taken over.
KILLS = (
    ("act", "ask", "effect.stripe.fetch", "fetched", "effect.money.due", "effect.stripe.increment",
     "mailed", "effect.stripe.reader_cancel", "refunded", "uploaded", "evidenced"),
    ("effect.stripe.charge", "charged", "effect.stripe.intent", "effect.stripe.reader",
     "presented", "due", "incremented", "effect.vendor.settle", "withdrawn",
     "effect.stripe.sweep"),
    ("terminal_report", "effect.mail.send", "vendor_settled", "act", "act", "act", "act",
     "effect.stripe.refund", "effect.stripe.file", "effect.stripe.evidence", "act"),
)  # fmt: skip
IN_ORDER = tuple(dict.fromkeys(step for day in KILLS for step in day))


class AboutTo(Protocol):
    """Is told which calls the day comes by next."""

    async def __call__(self, *calls: str) -> None: ...


async def nothing(*_: str) -> None:
    """Nothing is done before what is about to be done."""


async def prepare(found: Outside, stripe: Sandbox, body: Body) -> None:
    """Cards are saved and a reader is registered, as an app and a dashboard do it."""

    async def saved(token: str) -> Body:
        customer = (await stripe.stripe("customers"))["id"]
        method = await stripe.stripe(f"payment_methods/{token}/attach", customer=customer)
        return {"customer": customer, "payment_method": method["id"], "consent": True}

    address = {"line1": "1 Main St", "city": "Troy", "state": "NY", "country": "US",
               "postal_code": "12180"}  # fmt: skip
    place = await stripe.stripe(
        "terminal/locations", display_name="Yard",
        **{f"address[{name}]": value for name, value in address.items()},
    )  # fmt: skip
    reader = await stripe.stripe(
        "terminal/readers", registration_code="simulated-wpe", location=place["id"]
    )
    body["policies"] |= {"refund_limit": "1.00"}
    body["api_key"][0]["scopes"] += [
        "starts:write", "payments:read", "payments:write", "refunds:write",
    ]  # fmt: skip
    body["api_key"].append(
        {"name": "second", "key_env": "RIG_SECOND_KEY", "scopes": ["refunds:approve"]}
    )
    body["site"][0]["charge_points"] += [charge_point(f"CP-{n}") for n in (3, 4, 5)]
    body["plan"] += [
        {"id": "app", "name": "App", "route": "app"},
        {"id": "guest", "name": "Guests", "route": "checkout", "ad_hoc": True},
        {"id": "again", "name": "Again", "route": "card"},
        {"id": "more", "name": "More", "route": "card"},
        {"id": "owing", "name": "Owing", "route": "card"},
        {"id": "prepaid", "name": "Prepaid", "route": "wallet"},
    ]
    body["payment"] = [
        {"plans": ["again"], "hold": "10.00", "second_charge": True, "stop_at_ceiling": False},
        {"plans": ["more"], "increment_at_percent": 50},
        {"plans": ["owing"], "hold": "10.00", "shortfall": "debt", "stop_at_ceiling": False,
         "dunning_days": [1]},
    ]  # fmt: skip
    visa, broke = "pm_card_visa", "pm_card_chargeCustomerFail"
    body["account"] += [
        account("ann", "app", "ANN-1", email="ann@example.com", **await saved(visa)),
        account("again", "again", AGAIN, **await saved(visa)),
        account("more", "more", MORE, **await saved(visa)),
        account("owes", "owing", OWES, **await saved(visa)),
        account("broke", "owing", BROKE, **await saved(broke)),
        account("prepaid", "prepaid", PREPAID, **await saved(visa)),
    ]
    body["terminal"] = [
        {"id": "desk", "site": SITE, "provider": "stripe", "reader": reader["id"],
         "serves": ["CP-3"]},
        {"id": "tap", "site": SITE, "provider": "tapco", "serves": ["CP-4"], "tokens": [TAPPED],
         "mode": "we_send"},
    ]  # fmt: skip
    body["terminal_vendor"] = [
        {"id": "tapco", "entity": ENTITY, "kind": "http", "secret_env": "RIG_BOOKS",
         "url": f"http://127.0.0.1:{found.vendor_port}", "timeout_s": 1},
    ]  # fmt: skip
    body["mail"] = {"host": "127.0.0.1", "port": found.mail_port, "security": "none",
                    "sender": "Acme <bills@example.com>", "timeout_s": 1}  # fmt: skip


class Paying:
    """The day as it is played."""

    def __init__(self, system: System, about_to: AboutTo) -> None:
        self._system, self._about_to = system, about_to
        self.numbers: dict[str, int] = {}
        self._registers_wh: dict[int, int] = {}

    async def asked(self, path: str, key: str | None = None, **body: Any) -> Any:
        """What is asked of us once, until it is answered: who asks again because the answer was
        lost is told what was done."""
        headers = {"Idempotency-Key": f"{path}:{body}"}
        post = partial(self._post, path, body, headers, key)
        answer: httpx.Response = await self._system.insist(post)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    async def _post(
        self, path: str, body: Body, headers: dict[str, str], key: str | None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or SECRETS['RIG_API_KEY']}", **headers}
        answer = await self._system.http.post(
            f"{self._system.server.http_url}/v1/{path}", json=body, headers=headers
        )
        if answer.status_code >= 500:
            raise Lost(answer.text)
        return answer

    async def clock(self, text: str, day: int = 2) -> None:
        await self._system.clock(at(text, day))

    def point(self, number: int) -> Point:
        return self._system.point(f"CP-{number}")

    async def begin(self, who: str, number: int, token: str, when: str) -> None:
        register_wh = self._registers_wh.setdefault(number, 0)
        self.numbers[who] = await self.point(number).start(token, at(when), register_wh)

    async def end(self, who: str, number: int, when: str, kwh: int) -> None:
        point = self.point(number)
        self._registers_wh[number] += kwh * 1_000
        await point.stop(self.numbers[who], at(when), self._registers_wh[number])
        await point.status("Available", at(when))

    async def told(self, who: str, number: int, when: str) -> None:
        """The charge point was told to start, however often, with one token."""
        (token,) = set(self.point(number).remote_starts)
        self.point(number).remote_starts.clear()
        await self.begin(who, number, token, when)

    async def intent_of(self, start_id: str) -> str:
        (row,) = await self._system.rows(
            "SELECT p.intent_id FROM payment p JOIN start_request s ON s.payment_id = p.id"
            " WHERE s.id = %s", start_id,
        )  # fmt: skip
        return str(row["intent_id"])

    # The day.

    async def morning(self) -> None:
        """Everybody begins who pays before."""
        for number in range(1, 6):
            await self.point(number).boot()
        await self._about_to("charge")
        await self.asked("wallets/prepaid/top-ups", entity_id=ENTITY, amount_minor=2_000)
        self.parked = [
            await self.asked("wallets/prepaid/top-ups", entity_id=ENTITY, amount_minor=minor)
            for minor in (60_000, 70_000)
        ]
        await self.clock("08:30")
        await self.clock("08:55")
        await self._about_to("hold")
        await self.asked("starts", route="app", charge_point_id="CP-1", connector_id=1,
                         account_id="ann", reference="app-1")  # fmt: skip
        await self.clock("08:56")
        await self.told("app", 1, "08:56")
        await self._by_page()
        await self._at_the_reader()
        await self._at_the_vendors()

    async def _by_page(self) -> None:
        await self._about_to("intent")
        start = await self.asked("starts", route="checkout", charge_point_id="CP-2", connector_id=1,
                                 email="guest@example.com", reference="page-1")  # fmt: skip
        await self.clock("08:57")
        intent = await self.intent_of(start["id"])
        await self._about_to("fetch")
        await self._system.sandbox.stripe(
            f"payment_intents/{intent}/confirm", payment_method="pm_card_visa"
        )
        await self.asked(f"starts/{start['id']}/look")
        await self.clock("08:58")
        await self.told("page", 2, "08:58")

    async def _at_the_reader(self) -> None:
        await self._about_to("reader")
        reader = await self._start_at_reader("desk-1")
        await self.clock("08:59")
        await self._system.sandbox.sim(f"reader/{reader}/present")
        await self.clock("09:00")
        await self.told("desk", 3, "09:00")

    async def _start_at_reader(self, reference: str) -> str:
        (reader,) = await self._system.sandbox.all_of("terminal/readers")
        self.start = await self.asked(
            "starts", route="terminal", charge_point_id="CP-3", connector_id=1,
            reader=reader["id"], reference=reference,
        )  # fmt: skip
        return str(reader["id"])

    async def _at_the_vendors(self) -> None:
        report = {"kind": "authorization", "reference": "tap-1", "terminal": "tap",
                  "at": "2026-11-02T09:00:00Z", "amount": "30.00", "charge_point_id": "CP-4",
                  "connector_id": 1}  # fmt: skip
        lost = [
            {"kind": "settlement", "reference": "tap-2", "terminal": "tap",
             "at": "2026-11-02T07:00:00Z", "amount": "2.00"},
            {"kind": "authorization", "reference": "tap-3", "terminal": "tap",
             "at": "2026-11-02T07:30:00Z", "amount": "30.00"},
        ]  # fmt: skip
        for each in (report, *lost):
            await self._system.insist(partial(self._reported, each))
        await self.begin("tap", 4, TAPPED, "09:00")
        await self.begin("more", 5, MORE, "09:00")
        await self.clock("09:01")

    async def _reported(self, report: Body) -> None:
        request = self._system.http.build_request(
            "POST", f"{self._system.server.http_url}/v1/terminal-payments?vendor=tapco",
            json=report, headers={"Authorization": f"Bearer {SECRETS['RIG_API_KEY']}"},
        )  # fmt: skip
        name = f"msg-{report['reference']}"
        request.headers.update(
            signed(SECRETS["RIG_BOOKS"], name, int(time.time()), request.content)
        )
        answer = await self._system.http.send(request)
        if answer.status_code >= 500:
            raise Lost(answer.text)
        assert answer.status_code in (200, 201), answer.text

    async def forenoon(self) -> None:
        """They end, one after the other; one holds more; one does not want to after all."""
        await self.clock("10:00")
        await self._about_to("increment")
        await self.point(5).meter(self.numbers["more"], at("10:00"), 22_000)
        await self.clock("10:01")
        await self._about_to("capture")
        for who, number, minute, kwh in (
            ("app", 1, 2, 10), ("tap", 4, 6, 10), ("page", 2, 10, 20), ("desk", 3, 14, 20),
        ):  # fmt: skip
            await self.clock(f"10:{minute:02}")
            await self.end(who, number, f"10:{minute:02}", kwh)
            await self.clock(f"10:{minute + 3:02}")
        await self._start_at_reader("desk-2")
        await self.clock("10:20")
        await self._about_to("release", "reader_cancel")
        await self.asked(f"starts/{self.start['id']}/cancel")
        await self.clock("10:22")
        await self._parked()

    async def _parked(self) -> None:
        """Of what is above the bound a person lets one go, and refuses the other."""
        let, not_let = [payment["payment_id"] for payment in self.parked]
        await self.asked(f"payments/{let}/release", reason="she called")
        await self.clock("10:25")
        await self.asked(f"payments/{not_let}/refuse", reason="a mistake")
        await self.clock("10:28")

    async def _suspense(self) -> None:
        """Two payments at the vendor's are nobody's, and one session has none. A person keeps one,
        and says whose the other is."""
        (late,) = await self._system.rows(
            "SELECT id FROM session WHERE transaction_id = %s", self.numbers["late"]
        )
        found = await self._system.rows(
            "SELECT id, state FROM terminal_payment WHERE reference IN ('tap-2', 'tap-3')"
            " ORDER BY reference"
        )
        assert [row["state"] for row in found] == ["suspense", "suspense"]
        await self.asked(f"suspense/{found[0]['id']}/keep", reason="nobody asked")
        await self.asked(f"suspense/{found[1]['id']}/match", reason="she was there",
                         session_id=late["id"])  # fmt: skip
        await self.clock("14:30")

    async def _taken_over(self) -> None:
        """What somebody gave back in the dashboard becomes a refund of its session."""
        (line,) = await self._system.rows(
            "SELECT id FROM processor_item WHERE category = 'refund' AND payment_refund_id IS NULL"
        )
        await self.asked(f"refunds/take-over/{line['id']}", reason="slow", kind="goodwill")

    async def noon(self) -> None:
        """Members with their tokens: charged again, owing, declined, prepaid."""
        await self.clock("11:00")
        for who, number, token in (("again", 1, AGAIN), ("owes", 2, OWES), ("broke", 3, BROKE),
                                   ("prepaid", 4, PREPAID)):  # fmt: skip
            await self.begin(who, number, token, "11:00")
        await self.clock("11:01")
        assert set(self.point(3).remote_stops) == {self.numbers["broke"]}, "its card said no"
        await self.clock("11:10")
        await self.end("broke", 3, "11:10", 5)
        await self.clock("13:00")
        for who, number, kwh in (("again", 1, 40), ("owes", 2, 40), ("prepaid", 4, 10)):
            await self.end(who, number, "13:00", kwh)
        await self.clock("13:10")
        await self.clock("13:20")
        await self.begin("late", 4, TAPPED, "13:20")
        await self.clock("13:50")
        await self.end("late", 4, "13:50", 10)
        await self.clock("14:00")
        await self.end("more", 5, "14:00", 100)
        await self.clock("14:10")
        await self._suspense()

    async def afternoon(self) -> None:
        """Money goes back: one person asks, another approves. A bank asks for money."""
        desk, page, more = [
            (await self._system.rows(
                "SELECT s.id, p.external_charge_id AS charge FROM session s JOIN payment p"
                " ON p.session_id = s.id WHERE s.transaction_id = %s", self.numbers[who],
            ))[0] for who in ("desk", "page", "more")
        ]  # fmt: skip
        await self._system.sandbox.stripe("refunds", charge=more["charge"], amount=100)
        await self._about_to("refund")
        refund = await self.asked("refunds", session_id=desk["id"], amount_minor=110,
                                  reason="slow", kind="goodwill")  # fmt: skip
        assert refund["state"] == "asked", "above 1.00 a second person decides"
        await self.asked(f"refunds/{refund['id']}/approve", key=SECRETS["RIG_SECOND_KEY"],
                         reason="it was")  # fmt: skip
        await self.clock("15:00")
        dispute = await self._system.sandbox.sim("dispute", charge=page["charge"])
        await self._about_to("sweep", "read")
        await self.clock("12:00", 3)
        await self._about_to("file", "evidence")
        await self.asked(f"disputes/{dispute['id']}/submit")
        await self.clock("12:30", 3)
        await self._taken_over()
        await self._system.sandbox.sim(f"dispute/{dispute['id']}/close", outcome="won")

    async def days_after(self) -> None:
        """Debts are tried again; what nobody pays is written off; the payouts."""
        await self.clock("15:00", 3)
        found = await self._system.rows("SELECT charge_id, part, state, amount_minor FROM debt"
                                        " ORDER BY amount_minor")  # fmt: skip
        assert [(row["state"], row["amount_minor"]) for row in found] == [
            ("open", 165), ("paid", 320),
        ]  # fmt: skip
        debt = f"{found[0]['charge_id']}/{found[0]['part']}"
        await self.asked(f"debts/{debt}/write-off", reason="gone")
        for day in (4, 5, 6, 9):
            await self.clock("12:00", day)


async def play(system: System, about_to: AboutTo = nothing) -> None:
    """From the morning of the 2nd to the last payout. ``about_to`` is told what comes next."""
    day = Paying(system, about_to)
    await day.morning()
    await day.forenoon()
    await day.noon()
    await day.afternoon()
    await day.days_after()


async def assert_paid(system: System, found: Outside) -> None:
    """Everything once: in our figures, at the processor, at the vendor's, in the mail."""
    report = await system.report()
    assert_identities(report)
    assert report["money"] == MONEY
    sessions = {name: n for name, n in report["sessions"].items() if name != "refused"}
    assert sessions == SESSIONS
    assert report["energy_wh"] == ENERGY_WH
    assert report["payments"] == PAYMENTS
    assert report["ledger"]["proved"] is True
    assert report["breaks"] == []
    # A receipt that may be missing is shown, and nothing else is left to be looked at.
    assert set(report["anomalies"]) <= {"mail.unknown"}
    assert report["webhooks"]["sent"] == report["webhooks"]["acknowledged"]
    await _assert_processor(system)
    await _assert_books(system)
    assert found.settled == {"tap-1": ["3.30"], "tap-3": ["3.30"]}, "told once what to take"
    await _assert_mail(system, found)


async def _assert_processor(system: System) -> None:
    """In its own words: nothing held, taken, raised or given back twice."""
    stripe = system.sandbox
    totals = (await stripe.state())["totals"]["usd"]
    assert totals == {
        "captured_minor": MONEY["captured"] + MONEY["topups"],
        "refunded_minor": BACK,
        "disputed_minor": 0,
        "fees_minor": FEES,
        "paid_out_minor": MONEY["paid_out"],
    }
    intents = await stripe.intents()
    by_status: dict[str, int] = {}
    for intent in intents:
        by_status[intent["status"]] = by_status.get(intent["status"], 0) + 1
    assert by_status == INTENTS
    named = [intent["metadata"]["payment_id"] for intent in intents]
    assert len(set(named)) == len(named), "no payment has two intents"
    # What a capture leaves of a hold is listed with them, and is nobody's wish.
    refunds = [each["amount"] for each in await stripe.all_of("refunds") if each["metadata"]]
    assert refunds == [110]
    (dispute,) = await stripe.all_of("disputes")
    assert dispute["status"] == "won"
    assert dispute["evidence_details"]["submission_count"] == 1
    named = [dispute["evidence"][field] for field in ("receipt", "service_documentation")]
    sent = {each["id"]: each["filename"] for each in await stripe.all_of("files")}
    assert [sent[key].partition("-du_")[0] for key in named] == ["receipt", "service-documentation"]
    (more,) = [i for i in intents if i["amount_received"] == 3_300]
    assert more["amount"] == 5_000, "raised once"


async def _assert_books(system: System) -> None:
    """The receiver got each message once; how often a dispute was looked at makes no difference."""
    books = await system.sandbox.books()
    assert books["conflicting"] == books["rejected"] == 0
    assert books["total_minor"] == {"USD": MONEY["charged"]}
    assert books["by_type"].items() >= MESSAGES.items()


async def _assert_mail(system: System, found: Outside) -> None:
    """Each receipt at most once; of what may be missing a person is told."""
    to = [str(mail["To"]) for mail in found.mails]
    assert len(set(to)) == len(to), "none comes twice"
    shown = await system.rows("SELECT detail->>'to' AS to FROM anomaly WHERE code = 'mail.unknown'")
    doubtful = {row["to"] for row in shown}
    assert {"ann@example.com", "guest@example.com"} == {*to, *doubtful}
    if not system.deaths:
        assert doubtful == set()
