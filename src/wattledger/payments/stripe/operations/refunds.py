"""Calls that give money back. One without an answer is found among the refunds of its charge."""

from __future__ import annotations

from typing import Any

from wattledger.db.effects import Done, NewAttempt, Outcome, Unknown
from wattledger.payments.stripe.objects import plain, refund
from wattledger.payments.stripe.operation import Call, Operation, amount_of, find_in_list
from wattledger.payments.stripe.pacing import Rank

# Stripe takes no other reasons; ours are in the metadata and in our own records.
_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})


async def _send(call: Call) -> Outcome:
    request = call.request
    params = {
        **_of(request),
        "amount": call.amount,
        "metadata": request["metadata"],
    }
    if request.get("reason") in _REASONS:
        params["reason"] = request["reason"]
    return _given(await call.v1.refunds.create_async(params, call.options))


async def _find(call: Call) -> Outcome:
    """Whichever attempt made it: a refund of ours is given once."""
    wanted = call.request["metadata"]["payment_refund_id"]
    found = await find_in_list(
        call.v1.refunds.list_async,
        _of(call.request),
        lambda row: plain(row.metadata).get("payment_refund_id") == wanted,
        "refund",
    )
    return found if isinstance(found, NewAttempt | Unknown) else _given(found)


def _of(request: dict[str, Any]) -> dict[str, Any]:
    """What is given back: of a charge; of an intent where its charge was never told to us, since
    somebody else captured it."""
    if request.get("external_charge_id") is None:
        return {"payment_intent": request["intent_id"]}
    return {"charge": request["external_charge_id"]}


def _given(row: Any) -> Outcome:
    found = refund(row)
    given = {name: found[name] for name in ("status", "amount_minor", "failure_reason")}
    return Done({"refund_id": found["id"], **given})


OPERATIONS = {"stripe.refund": Operation(Rank.MONEY, _send, _find, asked=amount_of)}
