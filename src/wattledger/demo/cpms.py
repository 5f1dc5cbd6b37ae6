"""The CPMS of the third site: it has sold its sessions itself, and sends a record of each."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from wattledger.clock import utc_text
from wattledger.demo.plan import Session
from wattledger.demo.setup import BURBANK_PRICE_PER_KWH, BURBANK_TAX_PERCENT


def external_body(session: Session, register_wh: int) -> dict[str, Any]:
    """The record that a CPMS sends of a session it has sold itself."""
    times = [session.arrival, *session.samples(), session.stop]
    states = [{"at": utc_text(session.arrival), "state": "charging"}]
    if session.charged < session.stop:
        states.append({"at": utc_text(session.charged), "state": "suspended_ev"})
    states.append({"at": utc_text(session.stop), "state": "finished"})
    reference = f"BUR-{session.key[1:]}"
    return {
        "session_id": reference,
        "charge_point_id": session.charge_point_id,
        "connector_id": 1,
        "token": session.token,
        "started_at": utc_text(session.arrival),
        "ended_at": utc_text(session.departure),
        "readings": [
            {"at": utc_text(at), "energy_wh": register_wh + session.delivered_wh(at)}
            for at in times
        ],
        "states": states,
        "external": {
            "reference": f"CPMS-PAYMENT-{session.key[1:]}",
            "amount_minor": cpms_amount_minor(session.energy_wh),
            "currency": "USD",
        },
    }


def cpms_amount_minor(energy_wh: int) -> int:
    """What the CPMS took: its own arithmetic, so that ours has something to agree with."""
    dollars = Decimal(energy_wh) / 1000 * Decimal(BURBANK_PRICE_PER_KWH)
    cents = dollars * (100 + Decimal(BURBANK_TAX_PERCENT))
    return int(cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))
