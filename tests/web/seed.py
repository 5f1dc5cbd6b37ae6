"""A small network with a week of sessions, priced by the real engine, written by SQL.

Business time is 2026-11-03 16:42:08 in Amsterdam. Nothing is random: the same rows every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from wattledger.contract import Contract, Route
from wattledger.ids import content_digest, derive
from wattledger.money import divide
from wattledger.rating import Charge, Terms, encode, price
from wattledger.sessions.assemble import Fact, assemble
from wattledger.sessions.model import Activity, Delivery
from wattledger.tariffs import read_tariff

NOW = datetime(2026, 11, 3, 15, 42, 8, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Amsterdam")
FULL = "ses_full_bill"
HELD = "ses_held"
OPEN = "ses_open"
Conn = psycopg.Connection[Any]

ENTITY = {
    "id": "lind",
    "name": "Lindehaven Charging",
    "currency": "EUR",
    "time_zone": "Europe/Amsterdam",
}


def _tariff(key: str, name: str, elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": key, "currency": "EUR", "name": name, "elements": elements}


def _element(name: str, *components: tuple[str, str, str], **limits: object) -> dict[str, Any]:
    priced = [{"dimension": d, "price": p, "unit": u} for d, p, u in components]
    return {"name": name, "components": priced} | ({"restrictions": limits} if limits else {})


TARIFFS = {
    "noord-dc": _tariff(
        "noord-dc",
        "Noord DC",
        [
            _element("peak", ("energy", "0.67", "kWh"), start_time="15:00", end_time="20:00"),
            _element("off-peak", ("energy", "0.49", "kWh")),
            _element("after grace", ("idle_time", "0.20", "minute"), min_idle_s=600),
            _element("session fee", ("flat", "0.35", "session")),
        ],
    ),
    "markt-ac": _tariff("markt-ac", "Markthal", [_element("all day", ("energy", "0.39", "kWh"))]),
    "oost-time": _tariff(
        "oost-time", "Station Oost", [_element("parking", ("charging_time", "0.11", "minute"))]
    ),
}
# id, name, tariff, charge points, watts
SITES = (
    ("noord", "Lindehaven Noord", "noord-dc", 6, 100_000),
    ("markthal", "Markthal P1", "markt-ac", 20, 11_000),
    ("oost", "Station Oost", "oost-time", 10, 22_000),
    ("kade", "Lindehaven Kade", "markt-ac", 9, 22_000),
)
ACCOUNTS = (
    {"id": "ov-bus", "name": "Haven Taxi", "plan": "fleet", "tokens": ["FLEET-1"]},
    {"id": "coop", "name": "Buurtstroom", "plan": "members", "tokens": ["COOP-1"]},
)
PLANS = (
    {"id": "fleet", "name": "Fleet", "route": "invoice"},
    {"id": "members", "name": "Members", "route": "card", "discount_percent": "10"},
)
CODES = {
    "receivable.driver": "asset",
    "receivable.account": "asset",
    "receivable.external": "asset",
    "receivable.debt": "asset",
    "clearing.stripe": "asset",
    "payouts.in_transit": "asset",
    "bank": "asset",
    "tax.sales": "liability",
    "revenue.energy": "revenue",
    "revenue.time": "revenue",
    "revenue.idle": "revenue",
    "revenue.fee": "revenue",
    "expense.processing": "expense",
    "expense.waived": "expense",
}


@dataclass(frozen=True)
class Drive:
    """What happened in a session, in seconds after its start."""

    key: str
    site: str
    start: datetime
    watts: int
    charge_s: int
    idle_s: int = 0
    pause: tuple[int, int] | None = None
    route: Route = Route.CARD
    account: str | None = None
    debt_minor: int = 0


def configure(conn: Conn) -> None:
    """Entity, sites, tariffs, plans and accounts, in force for long."""
    bodies: list[tuple[str, str, dict[str, Any]]] = [("entity", "lind", ENTITY)]
    bodies += [("tariff", key, body) for key, body in TARIFFS.items()]
    bodies += [("plan", str(p["id"]), dict(p)) for p in PLANS]
    bodies += [("account", str(a["id"]), dict(a)) for a in ACCOUNTS]
    for key, name, tariff, points, watts in SITES:
        site = {
            "id": key,
            "name": name,
            "entity": "lind",
            "time_zone": "Europe/Amsterdam",
            "tariff": tariff,
            "tax_name": "VAT",
            "tax_percent": "21",
            "charge_points": [
                {"id": f"{key}-{n:02d}", "power_w": watts} for n in range(1, points + 1)
            ],
        }
        bodies.append(("site", key, site))
    for kind, key, body in bodies:
        conn.execute(
            "INSERT INTO config_version VALUES (%s, %s, %s, %s)",
            (digest(kind, key, body), kind, key, Jsonb(body)),
        )
        conn.execute(
            "INSERT INTO config_activation (kind, key, valid_from, digest) VALUES (%s, %s, %s, %s)",
            (kind, key, NOW - timedelta(days=90), digest(kind, key, body)),
        )
    for code, account_kind in CODES.items():
        conn.execute("INSERT INTO account VALUES ('lind', %s, 'EUR', %s)", (code, account_kind))


def digest(kind: str, key: str, body: dict[str, Any]) -> str:
    """As the configuration names its versions."""
    return content_digest(msgspec.json.encode([kind, key, body], order="deterministic"))


def network(conn: Conn) -> None:
    """Everything: configuration, a week of sessions, and all that goes wrong in one."""
    configure(conn)
    for day in range(8):
        for n, drive in enumerate(drives(day)):
            write(conn, drive, n, age_days=7 - day)
    write(conn, full_drive(), 1, age_days=0)
    troubles(conn)
    reconciliation(conn)


def full_drive() -> Drive:
    """Two tariff bands, a pause by the charger, grace, idle, and a fee."""
    start = datetime(2026, 11, 3, 13, 21, 8, tzinfo=UTC)
    return Drive(FULL, "noord", start, 50_000, 4620, 1763, pause=(2580, 3120))


def drives(day: int) -> list[Drive]:
    """The sessions of the day that lies ``7 - day`` days back."""
    midnight = datetime(2026, 11, 3, tzinfo=ZONE) - timedelta(days=7 - day)
    found = []
    for n in range(9 + (day * 5) % 7):
        minute = 400 + n * 53 + (day * 17) % 29
        if minute > (800 if day == 7 else 1300):
            break
        site = SITES[(n + day) % 4]
        route, account = Route.CARD, None
        if n % 4 == 1:
            route, account = Route.INVOICE, "ov-bus"
        elif n % 5 == 2:
            account = "coop"
        elif n % 7 == 6:
            route = Route.EXTERNAL
        found.append(
            Drive(
                f"ses_{day}_{n:02d}",
                site[0],
                (midnight + timedelta(minutes=minute)).astimezone(UTC),
                site[4] * 4 // 10,
                1800 + (n * 700) % 4000,
                600 * (n % 3),
                route=route,
                account=account,
                debt_minor=150 if day == 5 and n == 3 else 0,
            )
        )
    return found


def contract_of(drive: Drive) -> Contract:
    """What the session was promised."""
    site = next(s for s in SITES if s[0] == drive.site)
    return Contract(
        entity_id="lind",
        site_id=drive.site,
        time_zone="Europe/Amsterdam",
        entity_time_zone="Europe/Amsterdam",
        currency="EUR",
        route=drive.route,
        tariff_id=site[2],
        tariff_digest=digest("tariff", site[2], TARIFFS[site[2]]),
        tax_name="VAT",
        tax_percent="21",
        as_of=drive.start,
        known_at=drive.start,
        known_seq=1,
        account_id=drive.account,
        plan_id={"ov-bus": "fleet", "coop": "members"}.get(drive.account or ""),
        discount_percent="10" if drive.account == "coop" else "0",
        hold_minor=6000,
        power_w=site[4],
    )


def facts_of(drive: Drive) -> list[Fact]:
    """What the charge point reported: a reading every five minutes."""
    facts = [Fact("start", drive.start, 100_000, Activity.CHARGING)]
    register = 100_000
    low, high = drive.pause or (0, 0)
    last = 0
    for second in [*range(300, drive.charge_s, 300), drive.charge_s]:
        flowing = second - last - max(0, min(second, high) - max(last, low))
        register += divide(drive.watts * flowing, 3600)
        at = drive.start + timedelta(seconds=second)
        facts.append(Fact("meter", at, register))
        last = second
    if drive.pause:
        for second, activity in ((low, Activity.CHARGER_PAUSE), (high, Activity.CHARGING)):
            facts.append(Fact("status", drive.start + timedelta(seconds=second), None, activity))
    end = drive.start + timedelta(seconds=drive.charge_s)
    if drive.idle_s:
        facts.append(Fact("status", end, None, Activity.VEHICLE_IDLE))
        end += timedelta(seconds=drive.idle_s)
    return [*facts, Fact("stop", end, register)]


def write(conn: Conn, drive: Drive, point: int, *, age_days: int) -> Charge:
    """A billed session with all its rows; older ones are paid out."""
    contract, facts = contract_of(drive), facts_of(drive)
    add_session(conn, drive, contract, facts, point, "billed")
    found = assemble(drive.key, "Europe/Amsterdam", facts, idle_after_stop=True)
    assert isinstance(found, Delivery)
    tariff = read_tariff(TARIFFS[contract.tariff_id], "$")
    charge = price(found, tariff, Terms("VAT", "21", contract.discount_percent))
    add_charge(conn, drive, contract, charge, age_days)
    return charge


def add_session(
    conn: Conn,
    drive: Drive,
    contract: Contract,
    facts: list[Fact],
    point: int,
    state: str,
    held: str | None = None,
) -> None:
    """The session and its facts."""
    stop = next((f for f in facts if f.kind == "stop"), None)
    ended = stop.at if stop else None
    power_points = next(s[3] for s in SITES if s[0] == drive.site)
    conn.execute(
        "INSERT INTO session (id, entity_id, site_id, charge_point_id, connector_id, source,"
        " transaction_id, token, account_id, route, contract, state, held_reason, started_at,"
        " stopped_at, ended_at, meter_start_wh, meter_stop_wh, bill_due_at, stop_reason)"
        " VALUES (%s, 'lind', %s, %s, 1, 'ocpp1.6', nextval('transaction_number'), %s, %s, %s, %s,"
        " %s, %s, %s, %s, %s, 100000, %s, %s, %s)",
        (
            drive.key, drive.site, f"{drive.site}-{point % power_points + 1:02d}",
            {"ov-bus": "FLEET-1", "coop": "COOP-1"}.get(drive.account or "", f"TOK-{drive.key}"),
            drive.account, drive.route, Jsonb(msgspec.to_builtins(contract)), state, held,
            drive.start, ended, ended, stop.register_wh if stop else None, ended,
            "EVDisconnected" if stop else None,
        ),
    )  # fmt: skip
    for n, fact in enumerate(facts):
        conn.execute(
            "INSERT INTO session_fact (session_id, kind, at, received_at, register_wh, activity,"
            " detail, dedupe) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                drive.key, fact.kind, fact.at, fact.at + timedelta(seconds=1), fact.register_wh,
                fact.activity, Jsonb({"status": "SuspendedEV"} if fact.kind == "status" else {}),
                derive("fact", drive.key, n),
            ),
        )  # fmt: skip


def add_charge(conn: Conn, drive: Drive, contract: Contract, charge: Charge, age_days: int) -> None:
    """The charge, its collection, its effects, the processor's line, and all entries."""
    raw, charge_id = encode(charge), derive("chg", drive.key)
    day = charge.ended_at.astimezone(ZONE).date()
    issued = charge.ended_at + timedelta(seconds=60)
    conn.execute(
        "INSERT INTO charge VALUES (%s, %s, 1, 'lind', 'EUR', %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " %s, %s)",
        (
            charge_id, drive.key, charge.net_minor, charge.tax_minor, charge.total_minor,
            charge.energy_wh, charge.ended_at, day, day, issued, contract.tariff_digest, raw,
            content_digest(raw),
        ),
    )  # fmt: skip
    owed = {
        Route.CARD: "receivable.driver",
        Route.INVOICE: "receivable.account",
        Route.EXTERNAL: "receivable.external",
    }[drive.route]
    postings = [(owed, f"revenue.{stream}", amount) for stream, amount in charge.streams]
    postings.append((owed, "tax.sales", charge.tax_minor))
    book(conn, "charge", charge_id, day, issued, postings)
    if drive.route is Route.CARD:
        card(conn, drive, charge_id, charge.total_minor, charge.ended_at, age_days)
    elif drive.route is Route.INVOICE:
        part(conn, charge_id, 1, "invoiced", charge.total_minor, None, issued)
    else:
        conn.execute(
            "INSERT INTO external_payment VALUES (%s, 'lind', %s, %s, 'EUR')",
            (drive.key, f"TERM-{drive.key}", charge.total_minor),
        )
        part(conn, charge_id, 1, "external", charge.total_minor, None, issued)
    target = derive("msg", charge_id)
    effect(conn, "webhook.deliver", target, target, issued, request={"type": "charge.issued"})


def card(
    conn: Conn, drive: Drive, charge_id: str, total: int, ended: datetime, age_days: int
) -> None:
    """Hold, capture, the processor's line, and the payout of what is old enough."""
    payment = derive("pay", drive.key)
    captured = total - drive.debt_minor
    conn.execute(
        "INSERT INTO payment VALUES (%s, %s, 'lind', 'stripe', 'EUR', 6000, 'captured', %s, %s,"
        " %s, %s, NULL)",
        (
            payment, drive.key, f"pi_{drive.key}", f"ch_{drive.key}",
            drive.start + timedelta(days=2), captured,
        ),
    )  # fmt: skip
    effect(conn, "stripe.hold", payment, payment, drive.start - timedelta(seconds=10))
    effect(conn, "stripe.capture", payment, payment, ended + timedelta(seconds=9), seq=2)
    part(conn, charge_id, 1, "captured", captured, payment, ended)
    if drive.debt_minor:
        part(conn, charge_id, 2, "debt", drive.debt_minor, None, ended)
        book(
            conn, "debt", f"{charge_id}:2", ended.astimezone(ZONE).date(), ended,
            [("receivable.debt", "receivable.driver", drive.debt_minor)],
        )  # fmt: skip
    created = ended + timedelta(seconds=13)
    fee = divide(captured * 15, 1000) + 25
    paid = age_days >= 2
    day = created.astimezone(ZONE).date()
    txn, payout = f"txn_{drive.key}", f"po_{day:%m%d}" if paid else None
    conn.execute(
        "INSERT INTO processor_item VALUES (%s, 'stripe', 'lind', 'charge', 'EUR', %s, %s, %s, %s,"
        " %s, %s, %s, %s, %s)",
        (
            txn, captured, fee, captured - fee, f"ch_{drive.key}", payment, payout, created,
            created + timedelta(days=2), created,
        ),
    )  # fmt: skip
    entries = [
        ("clearing.stripe", "receivable.driver", captured),
        ("expense.processing", "clearing.stripe", fee),
    ]
    book(conn, "processor_item", txn, day, created, entries)
    if paid and payout:
        pay_out(conn, payout, day, captured - fee)


def pay_out(conn: Conn, payout: str, day: date, amount: int) -> None:
    """Add to the payout of a day, which is two days later at the bank."""
    at = datetime.combine(day, datetime.min.time(), ZONE) + timedelta(hours=30)
    conn.execute(
        "INSERT INTO payout VALUES (%s, 'stripe', 'lind', 'EUR', %s, %s, %s, true, %s)"
        " ON CONFLICT (id) DO UPDATE SET amount_minor = payout.amount_minor + %s",
        (
            payout, amount, "paid" if at < NOW - timedelta(days=2) else "in_transit",
            day + timedelta(days=2), at, amount,
        ),
    )  # fmt: skip


def book_payouts(conn: Conn) -> None:
    """One entry a payout, once it is whole."""
    rows = conn.execute("SELECT id, amount_minor, created_at FROM payout ORDER BY id").fetchall()
    for payout, amount, at in rows:
        day = at.astimezone(ZONE).date()
        entries = [("payouts.in_transit", "clearing.stripe", amount)]
        book(conn, "payout", payout, day, at, entries)


def part(
    conn: Conn, charge_id: str, n: int, state: str, amount: int, payment: str | None, at: datetime
) -> None:
    """Where a part of a charge stands."""
    conn.execute(
        "INSERT INTO collection VALUES (%s, %s, 'lind', %s, %s, %s, %s)",
        (charge_id, n, state, amount, payment, at),
    )


def effect(
    conn: Conn,
    kind: str,
    subject: str,
    lane: str,
    at: datetime,
    *,
    seq: int = 1,
    state: str = "done",
    request: dict[str, Any] | None = None,
) -> None:
    """A call to the outside, by default an answered one."""
    settled = at if state in {"done", "rejected"} else None
    conn.execute(
        "INSERT INTO effect (kind, subject, lane, lane_seq, key, request, state, due_at, tries,"
        " response, caused_at, settled_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 1, %s, %s, %s)",
        (
            kind, subject, lane, seq, f"{kind}:{subject}:{seq}", Jsonb(request or {}), state, at,
            Jsonb({"status": 200}) if settled else None, at, settled,
        ),
    )  # fmt: skip


def book(
    conn: Conn,
    cause: str,
    cause_id: str,
    day: date,
    at: datetime,
    postings: list[tuple[str, str, int]],
) -> None:
    """A balanced entry."""
    kept = [posting for posting in postings if posting[2]]
    row = conn.execute(
        "INSERT INTO entry (entity_id, cause, cause_id, effective_on, booked_at, posting_count)"
        " VALUES ('lind', %s, %s, %s, %s, %s) RETURNING id",
        (cause, cause_id, day, at, len(kept)),
    ).fetchone()
    assert row
    for n, (debit, credit, amount) in enumerate(kept, 1):
        conn.execute(
            "INSERT INTO posting VALUES (%s, %s, 'lind', %s, %s, %s, 'EUR')",
            (row[0], n, debit, credit, amount),
        )


def troubles(conn: Conn) -> None:
    """A held session, an open one, refused tokens, anomalies, a webhook without an answer."""
    held = Drive(HELD, "noord", NOW - timedelta(hours=5), 50_000, 1800)
    reason = "register.fell: 112.000 kWh after 118.350 kWh"
    add_session(conn, held, contract_of(held), facts_of(held), 3, "held", reason)
    running = Drive(OPEN, "kade", NOW - timedelta(minutes=40), 11_000, 2100)
    facts = [f for f in facts_of(running) if f.kind != "stop"]
    add_session(conn, running, contract_of(running), facts, 2, "open")
    for n, token in enumerate(("STRANGER", "EXPIRED-9")):
        conn.execute(
            "INSERT INTO decision (decided_at, kind, charge_point_id, token, accepted, reason,"
            " inputs) VALUES (%s, 'authorize', 'noord-01', %s, false, %s, '{}')",
            (NOW - timedelta(hours=n + 1), token, ("unknown_token", "expired")[n]),
        )
    conn.execute(
        "INSERT INTO anomaly (at, code, subject, detail, dedupe)"
        " VALUES (%s, 'register.fell', %s, %s, 'a1'), (%s, 'frame.malformed', 'oost-03', %s, 'a2')",
        (
            NOW - timedelta(hours=4), HELD, Jsonb({"before_wh": 118350, "after_wh": 112000}),
            NOW - timedelta(hours=2), Jsonb({"raw": "[2,<script>alert(1)</script>"}),
        ),
    )  # fmt: skip
    lost = derive("msg", "lost")
    effect(
        conn, "webhook.deliver", lost, lost, NOW - timedelta(minutes=12), state="unknown",
        request={"type": "journal.posted"},
    )  # fmt: skip


def reconciliation(conn: Conn) -> None:
    """A run with breaks in two legs; the payouts are booked before it."""
    book_payouts(conn)
    row = conn.execute(
        "SELECT count(*), sum(energy_wh)::bigint, sum(total_minor)::bigint FROM charge"
    ).fetchone()
    items = conn.execute(
        "SELECT count(*), sum(amount_minor)::bigint FROM processor_item"
    ).fetchone()
    paid = conn.execute("SELECT count(*), sum(amount_minor)::bigint FROM payout").fetchone()
    external = conn.execute(
        "SELECT count(*), sum(amount_minor)::bigint FROM external_payment"
    ).fetchone()
    assert row
    assert items
    assert paid
    assert external
    n, wh, total = row

    def side(label: str, count: int, **figure: int) -> dict[str, Any]:
        return {"label": label, "count": count, **figure}

    def leg(name: str, title: str, ours: Any, theirs: Any, breaks: int, why: str) -> dict[str, Any]:
        return {
            "leg": name,
            "title": title,
            "ours": ours,
            "theirs": theirs,
            "matched": ours["count"],
            "breaks": breaks,
            "tied": not breaks,
            "sentence": why,
        }

    card_total = items[1]
    legs = [
        leg(
            "meter", "Meters and sessions", side("Meters", 45, energy_wh=wh + 28_220),
            side("Sessions", n, energy_wh=wh), 1,
            "28.220 kWh passed a register that no session covers.",
        ),
        leg(
            "session", "Sessions and charges", side("Sessions", n, energy_wh=wh),
            side("Charges", n, amount_minor=total), 0, f"{n} sessions, {n} charges, one for each.",
        ),
        leg(
            "external", "Terminals", side("Charges", external[0], amount_minor=external[1]),
            side("Terminals", external[0], amount_minor=external[1]), 0,
            "Every charge has its terminal receipt.",
        ),
        leg(
            "processor", "Charges and the processor",
            side("Card charges", items[0], amount_minor=card_total),
            side("Processor", items[0] + 1, amount_minor=card_total + 1500), 2,
            "One payment has no session.",
        ),
        leg(
            "payout", "Payouts", side("Settled", items[0], amount_minor=paid[1]),
            side("Payouts", paid[0], amount_minor=paid[1]), 0,
            "Every transaction is in a payout or in the closing balance, to the cent.",
        ),
        leg(
            "books", "Books", side("Payouts", paid[0], amount_minor=paid[1]),
            side("Ledger", paid[0], amount_minor=paid[1]), 0, "Each payout is booked once.",
        ),
    ]  # fmt: skip
    conn.execute(
        "INSERT INTO reconciliation VALUES ('rec_1', 'lind', %s, %s, 3)",
        (NOW - timedelta(minutes=12), Jsonb(legs)),
    )
    breaks: list[tuple[str, str, str, str, int | None, int | None, str, str, str | None, int]] = [
        ("brk_1", "meter", "meter.gap", "noord-03", None, -28_220,
         "noord-03/1 was offline 02:10–03:05 on 28 October; no session covers the energy.",
         "Rebuild the session from the charger’s log, then rate it.", "Ilse", 6),
        ("brk_2", "processor", "missing.internal", "ch_unknown", 1500, None,
         "The terminal at Lindehaven Kade took €15.00 on 31 October; the charger never started.",
         "Refund in full: no energy, no session within 30 min.", None, 2),
        ("brk_3", "processor", "refund.unlinked", "re_hand", -1200, None,
         "Made by hand in the processor’s dashboard on 1 October.",
         "Link it to the session of 30 September.", "Mette", 33),
    ]  # fmt: skip
    for key, of, code, item, minor, energy, cause, proposal, owner, days in breaks:
        conn.execute(
            "INSERT INTO break VALUES (%s, %s, %s, 'lind', %s, 'EUR', %s, %s, %s, %s, %s, %s)",
            (
                key, of, code, item, minor, energy, cause, proposal, owner,
                NOW - timedelta(days=days),
            ),
        )  # fmt: skip
