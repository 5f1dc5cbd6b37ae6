"""Tariffs in OCPP 2.1 stations that calculate cost themselves (block I): the default of all EVSEs,
a driver's own, and that of a running transaction.

A tariff is told once for each content. One that OCPP 2.1 has no words for is not told at all, and a
person is shown why: the station then shows the cost that we calculate.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wattledger.contract import Contract, Decision
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot, make_contract
from wattledger.errors import CantSay
from wattledger.ingest import anomalies
from wattledger.pipeline.display.figures import Figures
from wattledger.pipeline.display.shown_16 import nobodys
from wattledger.pipeline.stations import commands
from wattledger.pipeline.world import World
from wattledger.rating import Terms
from wattledger.rating.station import StationTariff, station_tariff
from wattledger.tariffs import Tariff
from wattledger.wire import exact

_CACHE_MAX = 512
_made: dict[tuple[object, ...], StationTariff | CantSay] = {}


def of_contract(contract: Contract, tariff: Tariff) -> StationTariff | CantSay:
    """The contract's tariff for a station, or why there is none; made once."""
    key = (
        contract.tariff_digest, contract.taxes, contract.discounts, contract.fees,
        contract.allowances, contract.tax_name, contract.tax_percent, contract.discount_percent,
    )  # fmt: skip
    if key not in _made:
        if len(_made) >= _CACHE_MAX:
            _made.clear()
        more = tuple(f"$.allowances: {each.text}" for each in contract.allowances)
        try:
            _made[key] = station_tariff(tariff, Terms.of(contract), more=more)
        except CantSay as error:
            _made[key] = error
    return _made[key]


async def booted(world: World, charge_point_id: str) -> None:
    """SetDefaultTariff for all EVSEs, where it is not what the station was told last (I07)."""
    now = world.now
    snapshot = await world.snapshot(now)
    place = snapshot.place_of(charge_point_id)
    if place is None or place[0].proxy_of(place[1]) is not None:
        return  # nowhere, or another CPMS's
    contract, tariff = nobodys(snapshot, charge_point_id, now)
    if contract is None or tariff is None or not shows(snapshot, contract):
        return
    made = of_contract(contract, tariff)
    async with world.work.transaction("command", now=now) as tx:
        if isinstance(made, CantSay):
            await _not_sayable(tx, contract, made)
            return
        before = await commands.told(tx.conn, [charge_point_id], ["set_tariff"])
        await commands.tell(
            tx, charge_point_id, "set_tariff", made.id, {"evse_id": 0, "tariff": made.text},
            before=before.get((charge_point_id, "set_tariff")), life=commands.STANDING_LIFE,
        )  # fmt: skip


def shows(snapshot: Snapshot, contract: Contract) -> bool:
    """Whether the site wants its displays to show what it costs."""
    site = snapshot.site(contract.site_id)
    return site is not None and site.show_cost


def of_driver(
    snapshot: Snapshot, decision: Decision, charge_point_id: str, now: datetime
) -> dict[str, Any] | None:
    """The tariff of an AuthorizeResponse (I08): this driver's, where it is not the default.
    From memory alone: the answer waits for nothing."""
    if not decision.accepted:
        return None
    try:
        contract = make_contract(snapshot, decision, charge_point_id, as_of=now, known_at=now)
    except LookupError:
        return None
    tariff = snapshot.tariff(contract.tariff_id)
    if tariff is None or not shows(snapshot, contract):
        return None
    made = of_contract(contract, tariff)
    if isinstance(made, CantSay):
        return None
    usual, usual_tariff = nobodys(snapshot, charge_point_id, now)
    if usual is not None and usual_tariff is not None:
        default = of_contract(usual, usual_tariff)
        if isinstance(default, StationTariff) and default.id == made.id:
            return None
    found = exact.parse(made.text.encode())
    assert isinstance(found, dict), "a tariff is an object"
    return found


async def of_transaction(
    tx: Transaction, world: World, figures: Figures, tariff_id: str | None
) -> str | None:
    """The id of the contract's tariff, None where it can't be said. A station that calculates by
    another (``tariff_id``) is given the right one, once (I11)."""
    row = figures.row
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    made = of_contract(row.contract, tariff)
    if isinstance(made, CantSay):
        if tariff_id is not None:
            await _not_sayable(tx, row.contract, made)
        return None
    if tariff_id is not None and tariff_id != made.id and not figures.stopped:
        await commands.command(
            tx, row.charge_point_id, "set_tariff",
            {"transaction_id": row.transaction_ref, "tariff": made.text},
            subject=row.id, key=f"{row.id}:set_tariff:{made.id}",
        )  # fmt: skip
    return made.id


async def _not_sayable(tx: Transaction, contract: Contract, error: CantSay) -> None:
    await anomalies.record(
        tx.conn, at=tx.now, code="tariff.not_sayable", subject=contract.tariff_id,
        detail={"losses": list(error.losses), "site": contract.site_id},
        cause=contract.tariff_digest,
    )  # fmt: skip
