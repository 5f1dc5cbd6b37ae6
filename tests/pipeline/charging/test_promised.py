"""What was offered, charged and taxed goes with the session: from the database to the bill."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

import four_models as net
from four_models import COMMUTER, FLEET, MONDAY, PARTNER
from wattledger.clock import DrivenClock
from wattledger.config import versions
from wattledger.contract import Contract
from wattledger.db import versions as store
from wattledger.db.work import Work
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.charging.start import start
from wattledger.pipeline.importing.imports import ExternalIn, ReadingIn, SessionIn, take
from wattledger.pipeline.world import World
from wattledger.rating import Charge, Draw, decode
from wattledger.tariffs import Dimension
from wattledger.wire.ocpp import v16

NIGHT = MONDAY + timedelta(hours=15)


@pytest.fixture
async def selling(work: Work, clock: DrivenClock) -> World:
    """The network is in force since long; it is the day after."""
    clock.advance(MONDAY + timedelta(days=1, hours=6))
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(net.network()), MONDAY - timedelta(days=300))
    return World(work)


def finished(token: str, site: str, started_at: Any = MONDAY, **more: Any) -> SessionIn:
    """30 kWh in an hour."""
    stopped_at = started_at + timedelta(hours=1)
    return SessionIn(
        f"{token}-{site}", f"{site.upper()}-1", 1, token, started_at, stopped_at,
        (ReadingIn(started_at, 0), ReadingIn(stopped_at, 30_000)), unplugged_at=stopped_at, **more,
    )  # fmt: skip


async def billed(
    world: World, session: SessionIn, draws: tuple[Draw, ...] = ()
) -> tuple[Contract, Charge]:
    session_id = (await take(world, "cpms", session))["session_id"]
    assert await bill(world, session_id, draws) == "billed"
    (row,) = await rows(
        world,
        "SELECT contract, document FROM session JOIN charge ON session_id = session.id"
        f" WHERE session.id = '{session_id}'",
    )
    return msgspec.convert(row["contract"], Contract), decode(bytes(row["document"]))


async def rows(world: World, query: str) -> list[dict[str, Any]]:
    async with world.work.pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


async def test_an_exempt_account_at_a_site_by_the_hour(selling: World) -> None:
    contract, charge = await billed(selling, finished(FLEET, "highway"))
    # 30 kWh x 0.25
    assert (charge.net_minor, charge.tax_minor) == (750, 0)
    assert [tax.exempt for tax in charge.taxes] == ["certificate TX-77"]
    assert (
        charge.terms.choice == contract.choice == ("Tariff 'by-hour': the tariff of site Highway.",)
    )
    (said,) = await rows(selling, "SELECT inputs->'choice' AS choice FROM decision")
    assert said["choice"] == list(contract.choice)


async def test_an_offer_by_route_and_hour(selling: World) -> None:
    taken = ExternalIn("T-1", 616, "USD")
    contract, charge = await billed(selling, finished(PARTNER, "highway", NIGHT, external=taken))
    # 30 kWh x 0.19 = 5.70; 8 % = 0.456
    assert (contract.tariff_id, charge.net_minor, charge.tax_minor) == ("night", 570, 46)
    assert charge.terms.choice[0].startswith("Tariff 'night': offer 1 of the configuration")


async def test_a_draw_comes_with_the_booking(selling: World) -> None:
    draws = (Draw(Dimension.ENERGY, 15_000, "50 kWh a month"),)
    contract, charge = await billed(selling, finished(COMMUTER, "plaza"), draws)
    assert [a.quantity for a in contract.allowances] == [50_000]
    # 15 of 30 kWh x 0.48
    assert (charge.net_minor, charge.terms.draws) == (720, draws)


async def test_the_matrix_is_asked_once_at_the_start(
    selling: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taxes stand in the contract: what the matrix says later changes nothing."""
    session = (await take(selling, "cpms", finished(COMMUTER, "harbour")))["session_id"]
    monkeypatch.setattr(
        "wattledger.tariffs.jurisdictions.rules.Rules.tax_rows", lambda *_, **__: 1 / 0
    )
    assert await bill(selling, session) == "billed"
    (row,) = await rows(
        selling,
        "SELECT contract->'taxes' AS taxes, net_minor, tax_minor"
        " FROM charge JOIN session ON session.id = session_id",
    )
    # 60 minutes x 0.30 + 1.00; 6 % by the matrix of South Carolina
    assert (row["net_minor"], row["tax_minor"]) == (1900, 114)
    assert row["taxes"] == [{"name": "Sales tax", "percent": "6"}]


async def test_a_start_is_contracted_for_its_connector(selling: World) -> None:
    raw = net.raw()
    raw["offer"] = [{"tariff": "night", "charge_points": ["PLAZA-1"], "connectors": [2]}]
    async with selling.work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(net.network(**raw)), MONDAY - timedelta(days=1))
    await selling.refresh()
    for connector, tariff in ((1, "per-kwh"), (2, "night")):
        now = selling.now
        await start(selling, "PLAZA-1", v16.StartTransaction(
            connector_id=connector, id_tag=FLEET, meter_start=0, timestamp=now.isoformat(),
        ))  # fmt: skip
        (row,) = await rows(
            selling, "SELECT contract->>'tariff_id' AS tariff FROM session"
            f" WHERE connector_id = {connector}",
        )  # fmt: skip
        assert row["tariff"] == tariff
