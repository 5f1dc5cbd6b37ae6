"""Webhooks of the processor: verify, store, answer. What counts is what is fetched, or read,
afterwards: an event says only where to look, be it late, twice or in another order.
"""

from __future__ import annotations

from typing import Any

import msgspec
import stripe
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api.answers import json_answer
from wattledger.api.body import read_body
from wattledger.api.state import State
from wattledger.db.work import Transaction
from wattledger.errors import BadInput, NotFound
from wattledger.ingest import inbox
from wattledger.payments.model import Processor
from wattledger.payments.stripe import amounts
from wattledger.payments.stripe.objects import plain
from wattledger.pipeline.collecting.hints import MADE, is_news, plan_fetch
from wattledger.pipeline.settle import HINTED, plan_read
from wattledger.wire.numbers import decode_json

_OF_EVENT = ("id", "type", "created", "api_version")
_OF_OBJECT = ("id", "object", "metadata")
BODY_MAX_BYTES = 512 * 1024
# Events that say that the balance moved in a way worth reading at once; the nightly reading
# finds everything else.
_READ_NOW = frozenset({"payout.paid", "payout.failed", "payout.reconciliation_completed"})
# What the types of events that begin so are about; the first that fits. A charge's is its intent.
_ABOUT = (
    ("payment_intent.", "payment_intent"),
    ("charge.dispute.", "dispute"),
    ("charge.refund.", "refund"),
    ("charge.", "payment_intent"),
    ("refund.", "refund"),
    ("radar.early_fraud_warning.", "fraud_warning"),
    ("terminal.reader.", "reader"),
)


async def from_stripe(request: Request) -> Response:
    """``POST /v1/webhooks/stripe/{processor}``. 400 for a signature that is not Stripe's."""
    state: State = request.app.state.wattledger
    processor_id = request.path_params["processor_id"]
    now = state.world.now
    snapshot = await state.world.snapshot(now)
    processor = snapshot.get("processor", processor_id, Processor)
    if processor is None:
        raise NotFound(f"no [[processor]] {processor_id!r}")
    body = await read_body(request, BODY_MAX_BYTES)
    signature = request.headers.get("stripe-signature", "")
    secret = state.secrets(processor.webhook_secret_env)
    try:
        event = stripe.Webhook.construct_event(body, signature, secret)
    except (stripe.SignatureVerificationError, ValueError, TypeError) as error:
        # TypeError: a signature that is no ASCII, which the SDK does not compare.
        return json_answer({"error": f"not signed with our secret: {error}"}, 400)
    async with state.world.work.transaction("inbox", now=now) as tx:
        # An event carries the count of its pending deliveries: a repetition may differ in it.
        received = await inbox.receive(
            tx.conn, source=f"stripe-event:{processor_id}", external_id=event.id,
            body=_kept(body), received_at=now, only_a_hint=True,
        )  # fmt: skip
        if received.new:
            if event.type in _READ_NOW:
                await plan_read(tx, processor_id, now, lane=HINTED)
            about = hinted_at(event)
            if about is not None and await _is_news(tx, processor_id, event, *about):
                await plan_fetch(tx, processor_id, *about, event.id)
            await inbox.handled(tx.conn, received.id, now)
    state.wake()
    return json_answer({"received": event.id})


def _kept(body: bytes) -> bytes:
    """What of an event is kept: where it said to look. Names, addresses, and what a payer confirms
    by are the processor's to keep; what counts of them is fetched."""
    event = decode_json(body, "$")
    event = event if isinstance(event, dict) else {}
    data = event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    kept = {name: event[name] for name in _OF_EVENT if name in event}
    if isinstance(about, dict):
        kept["data"] = {"object": {name: about[name] for name in _OF_OBJECT if name in about}}
    return msgspec.json.encode(kept)


async def _is_news(
    tx: Transaction, processor_id: str, event: Any, kind: str, object_id: str
) -> bool:
    """Whether what is fetched for an event may tell something: of anything but an intent, always.
    A charge says of its intent whether it was captured, and never what else it might be."""
    if kind != "payment_intent":
        return True
    about = event.data.object
    status, held = getattr(about, "status", None), getattr(about, "amount_capturable", None)
    if event.type == "payment_intent.created":
        status = MADE
    elif not event.type.startswith("payment_intent."):
        status = "requires_capture" if event.type == "charge.succeeded" else None
        held = getattr(about, "amount", None)
        if getattr(about, "captured", None) is True:
            status = "succeeded"
    currency = str(getattr(about, "currency", "")).upper()
    try:
        held_minor = None if held is None else amounts.from_stripe(held, currency)
    except BadInput:
        return True
    payment_id = plain(getattr(about, "metadata", None)).get("payment_id")
    return await is_news(
        tx, processor_id, intent_id=object_id, payment_id=payment_id, status=status,
        held_minor=held_minor,
    )  # fmt: skip


def hinted_at(event: Any) -> tuple[str, str] | None:
    """What is to be fetched for an event: what it is, and its id. None: nothing of it concerns us.
    A charge without an intent is none that we made."""
    kind: str = event.type
    found = next((name for start, name in _ABOUT if kind.startswith(start)), None)
    if found is None:
        return None
    of_charge = found == "payment_intent" and not kind.startswith("payment_intent.")
    about = getattr(getattr(event, "data", None), "object", None)
    named = getattr(about, "payment_intent" if of_charge else "id", None)
    object_id = named if isinstance(named, str) or named is None else named.id
    return (found, object_id) if object_id else None
