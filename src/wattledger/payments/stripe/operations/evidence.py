"""What is said against a dispute. The call leaves its key on the dispute, to be found back by."""

from __future__ import annotations

from typing import Any

from wattledger.db.effects import Done, NewAttempt, Outcome, Rejected
from wattledger.payments.stripe.objects import dispute, plain
from wattledger.payments.stripe.operation import Call, Operation
from wattledger.payments.stripe.pacing import Rank

_MARK = "wattledger_key"
_OVER = frozenset({"won", "lost", "warning_closed", "charge_refunded", "prevented"})


async def _send(call: Call) -> Outcome:
    params = {
        "evidence": call.request["evidence"],
        "submit": bool(call.request["submit"]),
        "metadata": {_MARK: call.effect.key},
    }
    dispute_id = call.request["dispute_id"]
    return _taken(await call.v1.disputes.update_async(dispute_id, params, call.options))


async def _find(call: Call) -> Outcome:
    row = await call.v1.disputes.retrieve_async(call.request["dispute_id"])
    if plain(row.metadata).get(_MARK) == call.effect.key:
        return _taken(row)
    if row.status in _OVER:
        return Rejected({"code": "dispute_closed", "status": row.status})
    return NewAttempt("the dispute does not carry this call's key")


def _taken(row: Any) -> Outcome:
    return Done({name: dispute(row)[name] for name in ("status", "evidence_due_at")})


OPERATIONS = {"stripe.evidence": Operation(Rank.OBJECT, _send, _find)}
