"""What charges now would cost if it ended now: the bill's own function, on the facts so far."""

from __future__ import annotations

from typing import Any

import msgspec

from wattledger.contract import Contract
from wattledger.errors import WattledgerError
from wattledger.rating import Terms, price
from wattledger.sessions import Fact, assemble
from wattledger.tariffs import read_tariff
from wattledger.web.places import Conn

SUMMED_MAX = 200
"""Past so many open sessions the sum is left out: a page is no batch job."""

_OPEN = """
    SELECT s.id, s.contract, v.body AS tariff,
           (SELECT jsonb_agg(jsonb_build_object('kind', f.kind, 'at', f.at,
                   'register_wh', f.register_wh, 'activity', f.activity) ORDER BY f.at, f.id)
              FROM session_fact f WHERE f.session_id = s.id) AS facts
      FROM session s JOIN config_version v ON v.digest = s.contract->>'tariff_digest'
     WHERE s.entity_id = %s AND s.state = 'open' LIMIT %s
"""


async def running_cost_minor(conn: Conn, entity_id: str) -> int | None:
    """The sum over all open sessions, incl. tax; None where there are too many to ask for."""
    cursor = await conn.execute(_OPEN, (entity_id, SUMMED_MAX + 1))
    rows = await cursor.fetchall()
    return None if len(rows) > SUMMED_MAX else sum(_cost(row) for row in rows)


def _cost(row: dict[str, Any]) -> int:
    contract = msgspec.convert(row["contract"], Contract)
    facts = msgspec.convert(row["facts"] or [], list[Fact])
    found = assemble(row["id"], contract.time_zone, facts, idle_after_stop=True).delivery
    if found is None:
        return 0  # it will be held when it ends, and is shown there
    try:
        return price(found, read_tariff(row["tariff"], "$"), Terms.of(contract)).total_minor
    except WattledgerError:
        return 0
