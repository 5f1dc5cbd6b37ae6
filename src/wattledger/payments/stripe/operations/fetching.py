"""Calls that change nothing: one object, a page of the nightly sweep, a batch of the balance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import stripe

from wattledger.db.effects import Done, Outcome
from wattledger.errors import BadInput
from wattledger.payments.stripe import objects
from wattledger.payments.stripe.objects import EXPANDED, Normal
from wattledger.payments.stripe.operation import PAGE, Call, Operation
from wattledger.payments.stripe.pacing import Rank
from wattledger.payments.stripe.reading import CALLS_MAX, Reading

_OBJECTS: dict[str, tuple[Callable[[Any], Any], Normal, list[str]]] = {
    "payment_intent": (lambda v1: v1.payment_intents, objects.payment_intent, list(EXPANDED)),
    "dispute": (lambda v1: v1.disputes, objects.dispute, []),
    "refund": (lambda v1: v1.refunds, objects.refund, []),
    "fraud_warning": (lambda v1: v1.radar.early_fraud_warnings, objects.fraud_warning, []),
    "reader": (lambda v1: v1.terminal.readers, objects.reader, []),
    "payout": (lambda v1: v1.payouts, objects.payout, []),
}
_LISTS = {
    "intents": "payment_intent",
    "refunds": "refund",
    "disputes": "dispute",
    "warnings": "fraud_warning",
}


async def _fetch(call: Call) -> Outcome:
    """``found`` is None when the account has no such object."""
    kind = call.request["object"]
    service, normal, expand = _OBJECTS[kind]
    try:
        row = await service(call.v1).retrieve_async(call.request["id"], {"expand": expand})
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        return Done({"object": kind, "found": None})
    if getattr(row, "deleted", False):
        return Done({"object": kind, "found": None})
    return Done({"object": kind, "found": normal(row)})


async def _sweep(call: Call) -> Outcome:
    """A batch of the lists in ``what`` (a name, or several), made between ``since`` and ``until``.

    ``next`` is what the next batch is to be asked for; None at the end.
    """
    asked = call.request["what"]
    lists = [asked] if isinstance(asked, str) else list(asked)
    after = call.request.get("starting_after")
    span = {"gte": _seconds(call.request["since"]), "lte": _seconds(call.request["until"])}
    found: dict[str, Any] = {name: [] for name in (*_LISTS, "unreadable")}
    for _ in range(CALLS_MAX):
        if not lists:
            break
        service, normal, expand = _OBJECTS[_LISTS[lists[0]]]
        query = {"created": span, "limit": PAGE, "expand": [f"data.{name}" for name in expand]}
        if after is not None:
            query["starting_after"] = after
        page = await service(call.v1).list_async(query)
        for row in page.data:
            try:
                found[lists[0]].append(normal(row))
            except BadInput as error:
                found["unreadable"].append({"id": row.id, "why": str(error)})
        after = page.data[-1].id if page.has_more else None
        if after is None:
            lists = lists[1:]
    following = {
        "since": call.request["since"], "until": call.request["until"], "what": lists,
        "starting_after": after,
    }  # fmt: skip
    return Done({**found, "next": following if lists else None})


async def _read(call: Call) -> Outcome:
    return Done(await Reading(call.v1, call.request).batch())


def _seconds(said: str) -> int:
    return int(datetime.fromisoformat(said).timestamp())


OPERATIONS = {
    "stripe.fetch": Operation(Rank.OBJECT, _fetch, _fetch, reads=True),
    "stripe.sweep": Operation(Rank.SWEEP, _sweep, _sweep, reads=True),
    "stripe.read": Operation(Rank.SWEEP, _read, _read, reads=True),
}
