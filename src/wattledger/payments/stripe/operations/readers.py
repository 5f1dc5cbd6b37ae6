"""Calls to a card reader, which has one place for an action.

A reader that does not answer in time may have heard all the same. Whatever it did, the intent is
held at most once: sending it to a reader again asks the driver again, never the card twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import stripe

from wattledger.db.effects import Done, NewAttempt, Outcome, Rejected, Unknown
from wattledger.payments.stripe.objects import reader
from wattledger.payments.stripe.operation import Call, Operation
from wattledger.payments.stripe.pacing import Rank

# After this nobody stands at the reader any more: what was never heard is not sent again.
_PATIENCE = timedelta(minutes=1)
_UNREACHED = frozenset({"resource_missing", "terminal_reader_offline", "terminal_reader_timeout"})
_HELD = frozenset({"requires_capture", "succeeded", "processing"})


async def _send(call: Call) -> Outcome:
    params = {"payment_intent": call.request["intent_id"]}
    readers = call.v1.terminal.readers
    row = await readers.process_payment_intent_async(
        call.request["reader_id"], params, call.options
    )
    return _said(reader(row)["action"])


async def _find(call: Call) -> Outcome:
    """The intent first: what it says is final, what the reader says is on the way to it."""
    intent_id = call.request["intent_id"]
    intent = await call.v1.payment_intents.retrieve_async(intent_id)
    if intent.status in _HELD:
        return Done({"action_status": "succeeded"})
    if intent.status == "canceled":
        return Rejected({"code": "canceled"})
    action = (await _read(call))["action"]
    if action is not None and action["intent_id"] == intent_id:
        return _said(action)
    if call.age > _PATIENCE:
        return Rejected({"code": "terminal_reader_timeout"})
    return NewAttempt("neither the reader nor the intent knows of it")


async def _send_cancel(call: Call) -> Outcome:
    readers = call.v1.terminal.readers
    try:
        await readers.cancel_action_async(call.request["reader_id"], {}, call.options)
    except stripe.InvalidRequestError as error:
        if error.code in _UNREACHED:
            raise
        return await _find_cancel(call)  # there may be nothing to cancel any more
    return Done({})


async def _find_cancel(call: Call) -> Outcome:
    action = (await _read(call))["action"]
    if action is None or action["status"] != "in_progress":
        return Done({})
    # Nothing overtakes in a reader's lane: what it has is still what was to be cancelled.
    return NewAttempt("the reader still has its action")


def _said(action: dict[str, Any] | None) -> Outcome:
    if action is None:
        return Unknown("the reader has no action", look_up=True)
    said = {"action_status": action["status"]}
    if action["failure_code"]:
        said["failure_code"] = action["failure_code"]
    return Done(said)


async def _read(call: Call) -> dict[str, Any]:
    return reader(await call.v1.terminal.readers.retrieve_async(call.request["reader_id"]))


OPERATIONS = {
    "stripe.reader": Operation(
        Rank.DRIVER, _send, _find, missing_refuses=True, replays_for=_PATIENCE
    ),
    "stripe.reader_cancel": Operation(
        Rank.DRIVER, _send_cancel, _find_cancel, missing_refuses=True, replays_for=_PATIENCE
    ),
}
