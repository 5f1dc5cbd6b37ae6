"""Every kind of call to Stripe, in one table."""

from __future__ import annotations

from wattledger.payments.stripe.operation import Operation
from wattledger.payments.stripe.operations import (
    captures,
    evidence,
    fetching,
    holds,
    readers,
    refunds,
)

OPERATIONS: dict[str, Operation] = {
    **holds.OPERATIONS,
    **captures.OPERATIONS,
    **refunds.OPERATIONS,
    **evidence.OPERATIONS,
    **readers.OPERATIONS,
    **fetching.OPERATIONS,
}
