"""What the page at a charge point shows before anybody pays: the place, its price, the hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from wattledger.contract import Route
from wattledger.entitlements import Paid
from wattledger.entitlements.model import ChargePoint
from wattledger.entitlements.offers import Asked
from wattledger.entitlements.payment_rules import rule_for
from wattledger.payments import starts_store
from wattledger.payments.model import Processor
from wattledger.payments.stripe.amounts import to_stripe
from wattledger.payments.stripe.secret import publishable
from wattledger.pipeline.charging.quote import Question, Quote, quote
from wattledger.pipeline.world import World
from wattledger.web import driver_words as words
from wattledger.web.page import Pool
from wattledger.web.places import Conn

_BROKEN = frozenset({"Faulted", "Unavailable", "Reserved"})
# Of a cable that is plugged in and does nothing yet, 2.x says Occupied and 1.6 Preparing.
_BUSY = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"})
_SCRIPT = "https://js.stripe.com/v3/"


class Place(msgspec.Struct, frozen=True):
    """A charge point as its driver sees it. ``problem``: why nobody can pay there now."""

    status: int = 200
    problem: words.Problem | None = None
    site_name: str = ""
    seller: str = ""
    charge_point_id: str = ""
    connectors: tuple[int, ...] = ()
    connector_id: int | None = None
    power_kw: str = ""
    price_text: str = ""
    fees: tuple[str, ...] = ()
    hold_text: str = ""
    second_charge: bool = False
    """Whether the driver is asked to agree to be charged for what is above the hold."""
    script: str = ""
    publishable_key: str = ""
    amount: int = 0
    """As the processor says it."""
    currency: str = ""
    taken: bool = False
    """Whether somebody's payment is under way there: they are to know before they type a card."""

    @property
    def ready(self) -> bool:
        """Whether one can pay here now."""
        return self.problem is None and self.connector_id is not None


def unknown() -> Place:
    """No charge point has this name."""
    return Place(404, words.UNKNOWN)


async def look(
    world: World, pool: Pool, secrets: Callable[[str], str], point_id: str, connector: str | None
) -> Place:
    """As it is now; nothing is asked of anybody outside."""
    snapshot = await world.snapshot(world.now)
    found = snapshot.place_of(point_id)
    if found is None:
        return unknown()
    site, point = found
    entity = snapshot.entity(site.entity)
    number = _connector(point, connector)
    place = Place(
        site_name=site.name, seller=entity.name if entity else "", charge_point_id=point.id,
        connectors=tuple(range(1, point.connectors + 1)), connector_id=number,
        power_kw=_kw(point.power_w),
    )  # fmt: skip
    if number is None:
        return place
    async with pool.connection() as conn:
        problem = await _problem(conn, point, number)
        live = await starts_store.live_at(conn, point.id)
    if problem is not None:
        return msgspec.structs.replace(place, status=409, problem=problem)
    taken = any(each.connector_id == number and not each.left_by(world.now) for each in live)
    place = msgspec.structs.replace(place, taken=taken)
    plan = snapshot.guest_plan(site)
    processor = snapshot.get("processor", site.processor or "", Processor)
    key = publishable(processor, secrets) if processor is not None else None
    if plan is None or processor is None or key is None:
        return msgspec.structs.replace(place, status=503, problem=words.NOT_SET_UP)
    asked = Question("", point.id, number, paid=Paid(plan.id, Route.CHECKOUT))
    told = await quote(world, asked)
    if not told.accepted or told.price_text is None or told.hold_amount is None:
        return msgspec.structs.replace(place, status=503, problem=words.NOT_SET_UP)
    rule = rule_for(snapshot, Asked(site, point, plan, Route.CHECKOUT, number, world.now))
    return _priced(place, told, processor, key, rule is not None and rule.second_charge)


async def may_begin(
    world: World, pool: Pool, point_id: str, connector_id: int | None
) -> tuple[int | None, words.Problem | None]:
    """The connector that a new start is for, and why there can be none: a page that was loaded
    before the connector was taken is still open somewhere."""
    found = (await world.snapshot(world.now)).place_of(point_id)
    number = _connector(found[1], str(connector_id or "")) if found else None
    if found is None or number is None:
        return None, words.UNKNOWN
    async with pool.connection() as conn:
        return number, await _problem(conn, found[1], number)


def _priced(
    place: Place, told: Quote, processor: Processor, key: str, second_charge: bool
) -> Place:  # fmt: skip
    hold: dict[str, Any] = told.hold_amount or {}
    currency = hold["currency"]
    base = processor.base_url
    return msgspec.structs.replace(
        place,
        price_text=told.price_text or "",
        fees=tuple(f"{fee.text}: {words.priced(fee.amount, currency)}" for fee in told.fees),
        hold_text=words.money(hold["minor"], currency) if hold["minor"] else "",
        second_charge=second_charge,
        script=f"{base.rstrip('/')}/js/v3" if base else _SCRIPT,
        publishable_key=key,
        amount=to_stripe(hold["minor"], currency),
        currency=currency.lower(),
    )


def _connector(point: ChargePoint, asked: str | None) -> int | None:
    """The one that is asked for; the only one where there is no other."""
    if point.connectors == 1:
        return 1
    number = int(asked) if asked and asked.isdecimal() and len(asked) < 4 else 0
    return number if 1 <= number <= point.connectors else None


def _kw(power_w: int) -> str:
    whole, rest = divmod(power_w, 1000)
    return f"{whole}" + (f".{rest:03d}".rstrip("0") if rest else "")


async def _problem(conn: Conn, point: ChargePoint, connector_id: int) -> words.Problem | None:
    cursor = await conn.execute(
        "SELECT connected, connectors->%(n)s->>'status' AS status, EXISTS (SELECT FROM session s"
        "  WHERE s.charge_point_id = %(id)s AND s.state = 'open' AND s.connector_id = %(number)s)"
        " AS runs FROM (SELECT) AS one LEFT JOIN charge_point_state ON charge_point_id = %(id)s",
        {"id": point.id, "n": str(connector_id), "number": connector_id},
    )
    row = await cursor.fetchone()
    if row is None or not row["connected"]:
        return words.OFFLINE
    if row["runs"] or row["status"] in _BUSY:
        return words.OCCUPIED
    return words.BROKEN if row["status"] in _BROKEN else None
