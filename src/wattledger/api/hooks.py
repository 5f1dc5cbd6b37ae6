"""Webhooks of the processor: verify, store, answer. What is booked is what is read afterwards."""

from __future__ import annotations

import stripe
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api.answers import json_answer
from wattledger.api.body import read_body
from wattledger.api.state import State
from wattledger.errors import NotFound
from wattledger.ingest import inbox
from wattledger.payments.model import Processor
from wattledger.pipeline.settle import HINTED, plan_read

BODY_MAX_BYTES = 512 * 1024
# Events that say that the balance moved in a way worth reading at once; the nightly reading
# finds everything else.
_READ_NOW = frozenset({"payout.paid", "payout.failed", "payout.reconciliation_completed"})


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
    except (stripe.SignatureVerificationError, ValueError) as error:
        return json_answer({"error": f"not signed with our secret: {error}"}, 400)
    async with state.world.work.transaction("inbox", now=now) as tx:
        # An event carries the count of its pending deliveries: a repetition may differ in it.
        received = await inbox.receive(
            tx.conn, source=f"stripe-event:{processor_id}", external_id=event.id, body=body,
            received_at=now, only_a_hint=True,
        )  # fmt: skip
        if received.new:
            if event.type in _READ_NOW:
                await plan_read(tx, processor_id, now, lane=HINTED)
            await inbox.handled(tx.conn, received.id, now)
    state.wake()
    return json_answer({"received": event.id})
