"""How much a card is asked to hold: by the first rule that matches, else by the processor's steps.

A size by history is the cost that a share of the site's sessions has stayed within. It is computed
once a day of what had begun before that day, so that it is the same all day, in each process.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.contract import Contract
from wattledger.entitlements import Snapshot
from wattledger.entitlements.offers import Asked
from wattledger.entitlements.payment_rules import HoldPolicy, hold_policy, rule_for
from wattledger.payments.model import Processor, hold_minor
from wattledger.payments.stripe.amounts import step_minor
from wattledger.pipeline.world import World

Conn = AsyncConnection[dict[str, Any]]
# What the sessions of some days have cost in the end, credits and further charges counted in.
_HISTORY = """
    SELECT count(*) AS n, percentile_disc(%(share)s::numeric / 100)
               WITHIN GROUP (ORDER BY total_minor) AS cost_minor
      FROM (SELECT sum(g.total_minor)::bigint AS total_minor
              FROM session s JOIN charge g ON g.session_id = s.id
             WHERE s.site_id = %(site)s AND s.started_at >= %(since)s AND s.started_at < %(until)s
               AND g.currency = %(currency)s
             GROUP BY s.id HAVING sum(g.total_minor) > 0) AS cost
"""


async def with_hold(
    conn: Conn,
    world: World,
    snapshot: Snapshot,
    contract: Contract,
    charge_point_id: str,
    connector_id: int | None,
    now: datetime,
) -> Contract:
    """The contract with the size of its hold; 0 where nobody's card is held."""
    size = 0
    if contract.route.by_card and contract.processor_id is not None:
        size = await _size(conn, world, snapshot, contract, charge_point_id, connector_id, now)
    return msgspec.structs.replace(contract, hold_minor=size)


async def _size(
    conn: Conn,
    world: World,
    snapshot: Snapshot,
    contract: Contract,
    charge_point_id: str,
    connector_id: int | None,
    now: datetime,
) -> int:
    place = snapshot.place_of(charge_point_id)
    processor = snapshot.get("processor", contract.processor_id or "", Processor)
    if place is None or processor is None:
        return 0
    plan = snapshot.plan(contract.plan_id) if contract.plan_id else None
    asked = Asked(*place, plan, contract.route, connector_id, contract.as_of)
    policy = hold_policy(rule_for(snapshot, asked), contract.currency)
    by_power = policy.by_power(contract.power_w)
    if by_power is None:
        by_power = hold_minor(processor, contract.power_w, contract.currency)
    if policy.percentile is None:
        size = by_power
    else:
        cost = await _usual_cost(conn, world, contract, policy, now)
        size = policy.within(by_power if cost is None else cost)
    # Up to what the processor can be asked for.
    return size + -size % step_minor(contract.currency)


async def _usual_cost(
    conn: Conn, world: World, contract: Contract, policy: HoldPolicy, now: datetime
) -> int | None:
    """None where too few sessions say anything."""
    until = now.replace(hour=0, minute=0, second=0, microsecond=0)
    key = (contract.site_id, contract.currency, policy.percentile, policy.history_days)
    found = world.usual_costs.get(key)
    if found is None or found[0] != until:
        cursor = await conn.execute(
            _HISTORY,
            {
                "site": contract.site_id, "currency": contract.currency,
                "share": policy.percentile, "until": until,
                "since": until - timedelta(days=policy.history_days),
            },
        )  # fmt: skip
        row = await cursor.fetchone()
        assert row is not None, "an aggregate gives a row"
        found = (until, int(row["n"]), int(row["cost_minor"] or 0))
        world.usual_costs[key] = found
    return found[2] if found[1] >= policy.history_least else None
