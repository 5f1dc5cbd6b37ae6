"""A session without energy: charged what it costs, or cancelled, by its contract. A fee of 1.00 and
10 % tax: 1.10."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from till_rig import Till, terms

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.contract import FeeTerm
from wattledger.db import versions as store
from wattledger.db.connect import Database
from wattledger.db.work import Work
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.world import World


@pytest.fixture
async def till(work: Work, database: Database) -> Till:
    """Where the tariff itself lets nobody off who took no energy."""
    body = whole(tariff__0__policies={"zero_energy": "minimum"})
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(body)), datetime(2026, 1, 1, tzinfo=UTC))
    return Till(World(work), database)


FEES = (FeeTerm("Connecting", "1.00"),)


async def _ended(till: Till, stop_wh: int, zero_energy: str) -> str:
    ((digest,),) = await till.rows(
        "SELECT digest FROM config_activation WHERE (kind, key) = ('tariff', 'standard')"
    )
    key = till.add(state="ended", stop_wh=stop_wh, tariff_digest=digest, fees=FEES,
                   terms=terms(zero_energy=zero_energy))  # fmt: skip
    async with till.world.work.transaction("x") as tx:
        await tx.conn.execute("UPDATE session SET bill_due_at = %s", (tx.now,))
    return await bill(till.world, key)


async def test_it_is_cancelled_and_its_hold_given_back(till: Till) -> None:
    assert await _ended(till, 1_000, "cancel") == "free"
    assert [kind for kind, _ in await till.asked()] == ["stripe.release"]
    assert await till.rows("SELECT FROM charge") == []


@pytest.mark.parametrize(
    ("stop_wh", "zero_energy", "total"),
    # 0.40 per kWh: 1 kWh is 0.40, with the fee 1.40, with tax 1.54.
    [(1_000, "charge", 110), (2_000, "cancel", 154)],
)
async def test_it_costs_what_it_costs(
    till: Till, stop_wh: int, zero_energy: str, total: int
) -> None:
    assert await _ended(till, stop_wh, zero_energy) == "billed"
    assert await till.asked() == [("stripe.capture", total)]
