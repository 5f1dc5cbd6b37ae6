"""Prices on the display of a 1.6 charge point, by the OCA's pricing messages (white paper
"OCPP & California Pricing Requirements").

Each is an effect in the charge point's lane. A running cost that waits there is taken back when a
newer one comes: a charge point that is slow or away finds one figure for each session, the last.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from wattledger.clock import utc_text
from wattledger.contract import Contract
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot, decide, make_contract
from wattledger.errors import WattledgerError
from wattledger.ids import content_digest
from wattledger.pipeline.charging.clocks import LIVE_WITHIN
from wattledger.pipeline.display import cost_messages
from wattledger.pipeline.display.figures import Figures
from wattledger.pipeline.stations import commands
from wattledger.pipeline.world import World
from wattledger.rating import Terms
from wattledger.rating.outlook import Goes, Stretch, outlook
from wattledger.sessions import Activity, Delivery, Reading
from wattledger.tariffs import Tariff
from wattledger.tariffs.text import price_text
from wattledger.wire.ocpp import costmsg

_RUNNING_LIFE = timedelta(minutes=5)
# 1.6 §7: a CiString500.
_VALUE_MAX = 500
_NOBODY = ""


def wanted(snapshot: Snapshot, charge_point_id: str) -> bool:
    """Whether a charge point is to be told prices by these messages."""
    place = snapshot.place_of(charge_point_id)
    if place is None:
        return False
    site, point = place
    if site.proxy_of(point) is not None:
        return False  # another CPMS's display
    said = point.california_pricing
    return site.show_cost and (site.california_pricing if said is None else said)


async def running_cost(tx: Transaction, figures: Figures) -> None:
    """RunningCost; the one of this session that waits says less, and is taken back."""
    row = figures.row
    if row.transaction_id is None or row.transaction_ref is None:
        return
    message = cost_messages.running_cost(figures, int(row.transaction_ref))
    await _send(tx, row.charge_point_id, row.id, message, life=_RUNNING_LIFE)


async def final_cost(tx: Transaction, figures: Figures) -> None:
    """FinalCost, and again where it became another. Not where nobody was online to see it: a
    transaction that was offline as a whole."""
    row = figures.row
    if row.transaction_ref is None or tx.now - figures.at > _stale(row.contract):
        return
    words = cost_messages.final_words(figures.charge, figures.total_minor)
    if figures.goes_on and (begins := figures.idle_from(figures.idle_since or figures.at)):
        local = begins.costs_from.astimezone(ZoneInfo(row.contract.time_zone))
        words += f"; idle fee from {local:%H:%M} until unplugged"
    message = costmsg.FinalCost(int(row.transaction_ref), figures.total, words)
    await _send(tx, row.charge_point_id, row.id, message)


def _stale(contract: Contract) -> timedelta:
    """How late the end of a transaction may be told and still be shown."""
    return LIVE_WITHIN if contract.offline else timedelta(hours=1)


async def _send(
    tx: Transaction,
    charge_point_id: str,
    subject: str,
    message: costmsg.SetUserPrice | costmsg.RunningCost | costmsg.FinalCost,
    life: timedelta = commands.COMMAND_LIFE,
) -> None:
    payload = costmsg.request(message)
    name = payload["messageId"]
    key = f"{subject}:{name}:{content_digest(payload['data'].encode())[:16]}"
    if not isinstance(message, costmsg.SetUserPrice):
        await effects.supersede(
            tx.conn, kind="ocpp.data_transfer", subject=subject, message_id="RunningCost", but=key,
            now=tx.now,
        )  # fmt: skip
    await commands.command(
        tx, charge_point_id, "data_transfer",
        {"vendor_id": payload["vendorId"], "message_id": name, "data": payload["data"]},
        subject=subject, key=key, life=life,
    )  # fmt: skip


async def user_price(world: World, charge_point_id: str, token: str) -> None:
    """SetUserPrice: what this driver pays, once the token was accepted. It is only shown, so it
    goes out beside the answer to Authorize, which does not wait for it."""
    now = world.now
    snapshot = await world.snapshot(now)
    if not wanted(snapshot, charge_point_id):
        return
    decision = decide(snapshot, token, charge_point_id, now)
    if not decision.accepted:
        return
    try:
        contract = make_contract(snapshot, decision, charge_point_id, as_of=now, known_at=now)
    except LookupError:
        return
    tariff = snapshot.tariff(contract.tariff_id)
    if tariff is None:
        return
    words = _words(tariff, contract, now)
    async with world.work.transaction("command", now=now) as tx:
        message = costmsg.SetUserPrice(token, words)
        subject = f"{charge_point_id}:{token}:{utc_text(now)}"
        await _send(tx, charge_point_id, subject, message, life=_RUNNING_LIFE)


def _words(tariff: Tariff, contract: Contract, at: datetime) -> str:
    """The tariff in words, with what the plan takes off it."""
    words = price_text(tariff, at, contract.time_zone)
    for discount in contract.discounts or ():
        what = f" on {', '.join(discount.dimensions)}" if discount.dimensions else ""
        words += f", less {discount.percent} %{what}"
    return words


async def booted(world: World, charge_point_id: str) -> None:
    """DefaultPrice, where it is not what the charge point was told last."""
    now = world.now
    snapshot = await world.snapshot(now)
    if not wanted(snapshot, charge_point_id):
        return
    value = default_price(snapshot, charge_point_id, now)
    if value is None:
        return
    async with world.work.transaction("command", now=now) as tx:
        before = await commands.told(tx.conn, [charge_point_id], ["default_price"])
        await commands.tell(
            tx, charge_point_id, "default_price", content_digest(value.encode())[:16],
            {"value": value}, before=before.get((charge_point_id, "default_price")),
            life=commands.STANDING_LIFE,
        )  # fmt: skip


def default_price(snapshot: Snapshot, charge_point_id: str, now: datetime) -> str | None:
    """The value of the key DefaultPrice: what a driver without a contract pays."""
    contract, tariff = nobodys(snapshot, charge_point_id, now)
    if contract is None or tariff is None:
        return None
    terms = Terms.of(contract)
    stretch = first_prices(tariff, terms, contract.time_zone, now)
    words = price_text(tariff, now, contract.time_zone)
    while True:
        value = costmsg.default_price_value(cost_messages.default_price(words, stretch))
        if len(value) <= _VALUE_MAX or not words:
            return value
        words = words[: -max(1, (len(value) - _VALUE_MAX) // 2)]


def nobodys(
    snapshot: Snapshot, charge_point_id: str, now: datetime
) -> tuple[Contract | None, Tariff | None]:
    """The contract of a driver whom nobody knows, by what the displays of the site show."""
    decision = decide(snapshot, _NOBODY, charge_point_id, now)
    try:
        contract = make_contract(snapshot, decision, charge_point_id, as_of=now, known_at=now)
    except LookupError:
        return None, None
    site = snapshot.site(contract.site_id)
    shown = site.display_tariff if site and site.display_tariff else contract.tariff_id
    digest = snapshot.digest("tariff", shown)
    if digest is None:
        return None, None
    contract = msgspec.structs.replace(contract, tariff_id=shown, tariff_digest=digest)
    return contract, snapshot.tariff(shown)


def first_prices(tariff: Tariff, terms: Terms, zone: str, at: datetime) -> Stretch | None:
    """What holds at the first moment of a session that starts at ``at``."""
    until = at + timedelta(minutes=1)
    delivery = Delivery("default", zone, at, until, (Reading(at, 0), Reading(until, 0)), ())
    try:
        return outlook(delivery, tariff, terms, Goes(Activity.CHARGING, at, until))[0]
    except WattledgerError:
        return None  # it asks for what only a running session measures
