"""A small network with a week of sessions, priced by the real engine, written by SQL.

Business time is 2026-11-03 16:42:08 in Amsterdam. Nothing is random: the same rows every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from psycopg.types.json import Jsonb
from seed_config import NOW, SITES, TARIFFS, Conn, configure, digest

from wattledger.contract import Contract, Route
from wattledger.ids import content_digest, derive
from wattledger.money import divide
from wattledger.rating import Charge, Terms, encode, price
from wattledger.sessions.assemble import Fact, assemble
from wattledger.sessions.model import Activity
from wattledger.tariffs import read_tariff

ZONE = ZoneInfo("Europe/Amsterdam")
FULL = "ses_full_bill"
HELD = "ses_held"
OPEN = "ses_open"


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


def week(conn: Conn) -> None:
    """The configuration and eight days of sessions, without anything wrong."""
    configure(conn)
    for day in range(8):
        for n, drive in enumerate(drives(day)):
            write(conn, drive, n, age_days=7 - day)
    write(conn, full_drive(), 1, age_days=0)


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
    found = assemble(drive.key, "Europe/Amsterdam", facts, idle_after_stop=True).delivery
    assert found is not None
    found = msgspec.structs.replace(found, max_power_w=contract.power_w)
    tariff = read_tariff(TARIFFS[contract.tariff_id], "$")
    charge = price(found, tariff, Terms.simple("VAT", "21", contract.discount_percent))
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
        "INSERT INTO payment VALUES (%s, %s, 'lind', 'stripe', 'EUR', 6000, 'charging', %s, %s,"
        " %s, 0, NULL)",
        (
            payment, drive.key, f"pi_{drive.key}", f"ch_{drive.key}",
            drive.start + timedelta(days=2),
        ),
    )  # fmt: skip
    conn.execute(
        "UPDATE payment SET state = 'captured', captured_minor = %s WHERE id = %s",
        (captured, payment),
    )
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


def pay_out(conn: Conn) -> None:
    """The payout of each day, of all that came in on it, which is two days later at the bank."""
    rows = conn.execute(
        "SELECT payout_id, sum(net_minor)::bigint, min(created_at) FROM processor_item"
        " WHERE payout_id IS NOT NULL GROUP BY 1"
    ).fetchall()
    for payout, amount, created in rows:
        day = created.astimezone(ZONE).date()
        at = datetime.combine(day, datetime.min.time(), ZONE) + timedelta(hours=30)
        conn.execute(
            "INSERT INTO payout VALUES (%s, 'stripe', 'lind', 'EUR', %s, %s, %s, true, %s)",
            (
                payout, amount, "paid" if at < NOW - timedelta(days=2) else "in_transit",
                day + timedelta(days=2), at,
            ),
        )  # fmt: skip


def book_payouts(conn: Conn) -> None:
    """The payouts, and an entry for each."""
    pay_out(conn)
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
