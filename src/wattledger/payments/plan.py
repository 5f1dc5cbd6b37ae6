"""How a charge is to be collected. Pure: what is owed and what is held, in; the parts, out."""

from __future__ import annotations

from wattledger.contract import Route
from wattledger.payments.store import Part, Payment
from wattledger.payments.stripe.amounts import step_minor

_BY_ROUTE = {Route.INVOICE: "invoiced", Route.EXTERNAL: "external", Route.ROAMING: "roaming"}
_OWED = {"waive": "waived", "debt": "debt"}


def parts(total_minor: int, route: Route, payment: Payment | None, shortfall: str) -> list[Part]:
    """The parts of a charge; they sum to it.

    A card pays what is held, to the smallest unit that the processor takes; the rest is waived or
    owed by the contract's ``shortfall``. While the hold's answer is open, all of it is pending.
    """
    if total_minor == 0:
        return []
    if route in _BY_ROUTE:
        return [Part(_BY_ROUTE[route], total_minor)]
    if route is Route.CARD and payment is not None:
        if payment.state == "holding":
            return [Part("pending", total_minor, payment.id)]
        if payment.state == "held":
            most = min(total_minor, payment.hold_minor)
            # Less than the smallest that can be taken stays pending: it is refused, not forgotten,
            # and the refusal gives the hold back.
            captured = most - most % step_minor(payment.currency) or most
            rest = (
                [Part(_OWED[shortfall], total_minor - captured)] if total_minor > captured else []
            )
            return [Part("pending", captured, payment.id), *rest]
    return [Part(_OWED[shortfall], total_minor)]
