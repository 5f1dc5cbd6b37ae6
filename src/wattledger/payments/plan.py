"""How a charge is to be collected. Pure: what is owed and what is held, in; the parts, out."""

from __future__ import annotations

from collections.abc import Sequence

from wattledger.contract import Contract, Route
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


def taken_back(standing: Sequence[Part]) -> list[Part]:
    """The parts of the credit of a charge that is collected by ``standing``: all of them, below
    zero. What was captured stays captured, and is due back to the driver."""
    return [
        Part("refund_due" if p.state == "captured" else p.state, -p.amount_minor, p.payment_id)
        for p in standing
    ]


def anew(
    total_minor: int, route: Route, due_back: Sequence[Part], standing: Sequence[Part], more: str
) -> list[Part]:
    """The parts of a charge that follows a credit; they sum to ``total_minor``.

    ``due_back`` is what the session's credits made due back to the driver: that pays first. Then
    what was waived or owed of the charge before (``standing``) is again, as far as it goes. What
    costs ``more`` than all of that is waived or owed; no card is charged with it.
    """
    if route in _BY_ROUTE:
        return [Part(_BY_ROUTE[route], total_minor)] if total_minor else []
    found: list[Part] = []
    for source in (*due_back, *(p for p in standing if p.state in _OWED.values())):
        amount = min(total_minor, source.amount_minor)
        total_minor -= amount
        if amount:
            found.append(Part(source.state, amount, source.payment_id))
    return [*found, Part(more, total_minor)] if total_minor else found


def more_is(contract: Contract, more_minor: int, up: str, least_minor: int) -> str:
    """What becomes of ``more_minor`` that late data add to a session: waived or debt.

    On a card the policy ``adjust_up`` says so (``up``): a guest, who has no account, never owes it,
    and nobody owes less than ``least_minor``. Elsewhere the contract's ``shortfall`` does.
    """
    if contract.route is not Route.CARD:
        return _OWED[contract.shortfall]
    owes = up == "debt" and contract.account_id is not None and more_minor >= least_minor
    return "debt" if owes else "waived"
