"""Reading the balance: one bounded batch, and where the next one goes on.

Stripe lists newest first. A reading goes through the items since a time, then through the payouts
it came across, in batches of at most ``CALLS_MAX`` calls; each says what the next is to be asked.
What comes into being meanwhile stands above the first page and is the next reading's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import stripe

from wattledger.errors import BadInput
from wattledger.payments.stripe.amounts import from_stripe
from wattledger.payments.stripe.objects import payout as payout_facts
from wattledger.payments.stripe.objects import plain, utc

# A call takes some tenths of a second and a worker gives a batch half a minute.
CALLS_MAX = 8
_PAGE = 100


class Position(msgspec.Struct):
    """Where a reading stands: it is the request of the batch that goes on from there.

    ``listed``: the items since then are all read, and what is left are the payouts, the first of
    them from the member after ``payout_after`` on.
    """

    since: str
    payouts: list[str]
    starting_after: str | None = None
    listed: bool = False
    payout_after: str | None = None


class Reading:
    """A batch of a reading of the balance, through Stripe's services ``v1``."""

    def __init__(self, v1: Any, request: dict[str, Any]) -> None:
        self._v1 = v1
        self._at = msgspec.convert(request, Position)
        self._items: list[dict[str, Any]] = []
        self._payouts: list[dict[str, Any]] = []
        self._unreadable: list[dict[str, str]] = []
        self._payout: dict[str, Any] | None = None

    async def batch(self) -> dict[str, Any]:
        """The items, the payouts, what could not be read, and the next position or None."""
        for _ in range(CALLS_MAX):
            if not self._at.listed:
                await self._page_of_items()
            elif self._payout is not None:
                await self._page_of_payout(self._payout)
            elif self._at.payouts:
                await self._next_payout(self._at.payouts[0])
            else:
                break
        complete = self._at.listed and not self._at.payouts
        return {
            "items": self._items,
            "payouts": self._payouts,
            "unreadable": self._unreadable,
            "next": None if complete else msgspec.to_builtins(self._at),
        }

    async def _page_of_items(self) -> None:
        since = int(datetime.fromisoformat(self._at.since).timestamp())
        query: dict[str, Any] = {"created": {"gte": since}, "expand": ["data.source"]}
        page = await self._page(query, self._at.starting_after)
        for row in page.data:
            try:
                item = _item(row)
            except BadInput as error:
                self._unreadable.append({"id": row.id, "why": str(error)})
                continue
            self._items.append(item)
            # A failed or reversed payout names the payout too: it is to be looked at again.
            source = item["source"] or ""
            if source.startswith("po_") and source not in self._at.payouts:
                self._at.payouts.append(source)
        self._at.listed = not page.has_more
        self._at.starting_after = page.data[-1].id if page.has_more else None

    async def _next_payout(self, payout_id: str) -> None:
        try:
            payout = await self._v1.payouts.retrieve_async(payout_id)
            found = payout_facts(payout)
        except (BadInput, stripe.InvalidRequestError) as error:
            # One payout that can't be read does not keep the others from being read.
            self._unreadable.append({"id": payout_id, "why": str(error)})
            self._payout_is_read()
            return
        self._payouts.append(found)
        if payout.reconciliation_status == "completed":
            self._payout = found
        else:
            self._payout_is_read()

    async def _page_of_payout(self, found: dict[str, Any]) -> None:
        page = await self._page({"payout": found["id"]}, self._at.payout_after)
        found["items"] += [row.id for row in page.data]
        if page.has_more:
            self._at.payout_after = page.data[-1].id
            return
        found["items_read"] = True
        self._payout_is_read()

    def _payout_is_read(self) -> None:
        self._at.payouts = self._at.payouts[1:]
        self._at.payout_after = None
        self._payout = None

    async def _page(
        self, query: dict[str, Any], after: str | None
    ) -> stripe.ListObject[stripe.BalanceTransaction]:
        params: Any = {**query, "limit": _PAGE}
        if after is not None:
            params["starting_after"] = after
        page: stripe.ListObject[stripe.BalanceTransaction]
        page = await self._v1.balance_transactions.list_async(params)
        return page


def _item(row: stripe.BalanceTransaction) -> dict[str, Any]:
    source: Any = row.source
    currency = row.currency.upper()
    # A refund (the release of what a partial capture left is one) and a dispute name their charge.
    charge = source.id if getattr(source, "object", None) == "charge" else None
    return {
        "id": row.id,
        "category": row.reporting_category,
        "currency": currency,
        "amount_minor": from_stripe(row.amount, currency),
        "fee_minor": from_stripe(row.fee, currency),
        "net_minor": from_stripe(row.net, currency),
        "source": source if isinstance(source, str) or source is None else source.id,
        "charge": charge or getattr(source, "charge", None),
        # A refund of ours carries our name for it: its answer may be on its way still.
        "payment_refund_id": plain(getattr(source, "metadata", None)).get("payment_refund_id"),
        "created_at": utc(row.created),
        "available_at": utc(row.available_on),
    }
