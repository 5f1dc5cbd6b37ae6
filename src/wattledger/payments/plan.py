"""How a charge is to be collected. Pure: what is owed and what is held, in; the parts, out."""

from __future__ import annotations

from collections.abc import Sequence

from wattledger.contract import Contract, Route
from wattledger.money import exponent
from wattledger.payments.store import Part, Payment
from wattledger.payments.stripe.amounts import least_minor, step_minor

_BY_ROUTE = {Route.INVOICE: "invoiced", Route.EXTERNAL: "external", Route.ROAMING: "roaming"}
_OWED = {"waive": "waived", "debt": "debt"}
SECOND = "second"
# The card's answer is open, or a person's: nobody knows what it pays.
_OPEN = frozenset({"waiting", "holding", "parked"})
_GONE = frozenset({"releasing", "released"})
# What the processor documents of incremental authorizations: so many tries, the declined ones among
# them, and each by the higher of 500 and five times what was authorized before.
INCREMENTS_MAX = 10
_MORE_MAJOR, _MORE_TIMES = 500, 5


def parts(
    total_minor: int, contract: Contract, payment: Payment | None, wallet_minor: int = 0
) -> list[Part]:
    """The parts of a charge; they sum to it.

    A card pays what is held, or what it lets be captured beyond that where the contract wants it,
    to the smallest unit that the processor takes. The rest is charged again (a part of the leg
    ``second``), waived or owed, as the contract says. While the hold's answer is open, all of it
    is pending. A wallet pays as far as its ``wallet_minor`` go.
    """
    if total_minor == 0:
        return []
    route = contract.route
    if route in _BY_ROUTE:
        return [Part(_BY_ROUTE[route], total_minor)]
    if route is Route.WALLET:
        drawn = min(total_minor, max(wallet_minor, 0))
        found = [Part("wallet", drawn)] if drawn else []
        return [*found, *owed(total_minor - drawn, contract, "wallet_empty")]
    if not route.by_card:
        return owed(total_minor, contract, "no_payer")
    return _by_card(total_minor, contract, payment)


def _by_card(total_minor: int, contract: Contract, payment: Payment | None) -> list[Part]:
    if payment is None:
        return above(total_minor, contract, None, "not_held", again=True)
    if payment.state in _OPEN:
        return [Part("pending", total_minor, payment.id)]
    if payment.state == "held":
        return _held(total_minor, contract, payment)
    if payment.state == "captured":  # not by us: what it took pays as far as it goes
        taken = min(total_minor, payment.captured_minor)
        pays = [Part("captured", taken, payment.id)] if taken else []
        return [*pays, *above(total_minor - taken, contract, payment, "above_hold", again=True)]
    if payment.state in _GONE:
        return gone(total_minor, contract, payment)
    return owed(total_minor, contract, payment.decline_code or payment.state)


def _held(total_minor: int, contract: Contract, payment: Payment) -> list[Part]:
    most = min(total_minor, ceiling_minor(contract, payment))
    # Less than the smallest that can be taken stays pending: it is refused, not forgotten, and the
    # refusal gives the hold back.
    captured = most - most % step_minor(payment.currency) or most
    again = contract.payment.second_charge
    rest = above(total_minor - captured, contract, payment, "above_hold", again=again)
    return [Part("pending", captured, payment.id), *rest]


def ceiling_minor(contract: Contract, payment: Payment | None) -> int:
    """The most that can be had of what is held."""
    if payment is None:
        return contract.hold_minor
    most = payment.held_minor
    if contract.payment.overcapture and payment.capturable_minor is not None:
        most = max(most, payment.capturable_minor)
    return most


def raised_minor(
    contract: Contract, payment: Payment, worst_minor: int, most_minor: int
) -> int | None:
    """How much is to be held in all, when the cost may come to ``worst_minor``; None: no more than
    now. Never above ``most_minor``, nor what the contract and the processor allow."""
    terms, now = contract.payment, payment.held_minor
    if not terms.increment_at_percent or not payment.can_increment or payment.state != "held":
        return None
    if payment.increments >= INCREMENTS_MAX or worst_minor * 100 < now * terms.increment_at_percent:
        return None
    by = terms.increment_by_minor or payment.hold_minor
    steps = max(1, -(-(worst_minor - now) // by))
    allowed = (
        terms.increment_to_minor or 3 * payment.hold_minor,
        now + max(_MORE_MAJOR * 10 ** exponent(payment.currency), _MORE_TIMES * now),
        most_minor,
    )
    wanted = min(now + steps * by, *allowed)
    wanted -= wanted % step_minor(payment.currency)
    return wanted if wanted > now else None


def gone(total_minor: int, contract: Contract, payment: Payment) -> list[Part]:
    """What was to be captured of a hold that is no more."""
    terms = contract.payment
    if terms.gone == "waive":
        return [Part("waived", total_minor, why="hold_gone")]
    if terms.gone == "debt":
        return _nobody_pays("debt", total_minor, contract, "hold_gone")
    return above(total_minor, contract, payment, "hold_gone", again=True)


def above(
    rest_minor: int, contract: Contract, payment: Payment | None, why: str, *, again: bool
) -> list[Part]:
    """What no hold pays: charged ``again`` where that may be done, else waived or owed."""
    if rest_minor <= 0:
        return []
    if not (again and may_charge_again(contract, payment)):
        return owed(rest_minor, contract, why)
    if rest_minor < least_minor(contract.currency):
        return below_minimum(rest_minor, contract)
    second = rest_minor - rest_minor % step_minor(contract.currency)
    return [Part("pending", second, leg=SECOND), *owed(rest_minor - second, contract, why)]


def below_minimum(amount_minor: int, contract: Contract) -> list[Part]:
    """Less than the processor takes: waived, or carried to what the driver owes next."""
    state = "debt" if contract.payment.below_minimum == "carry" else "waived"
    return [Part(state, amount_minor, why="below_minimum")]


def may_charge_again(contract: Contract, payment: Payment | None) -> bool:
    """Whether the driver agreed to it, and the card can be used without its holder. A phone at a
    terminal is no card: what it tapped with works once."""
    method, customer = reusable(contract, payment)
    return contract.consent and bool(contract.processor_id and method and customer)


def reusable(contract: Contract, payment: Payment | None) -> tuple[str | None, str | None]:
    """What may be charged off-session, and whose it is: the card that was held, else the one on
    file."""
    if payment is None:
        return contract.payment_method, contract.customer
    if payment.method == "card_present":
        if payment.wallet is not None:
            return None, None
        return payment.reusable_method, payment.customer
    return (
        payment.reusable_method or contract.payment_method,
        payment.customer or contract.customer,
    )


def owed(amount_minor: int, contract: Contract, why: str) -> list[Part]:
    """What nobody pays now: waived or a debt, by the contract's ``shortfall``. What the processor
    has no unit for is no part of a debt: with it none of it could be charged."""
    return _nobody_pays(_OWED[contract.shortfall], amount_minor, contract, why)


def _nobody_pays(state: str, amount_minor: int, contract: Contract, why: str) -> list[Part]:
    rest = amount_minor % step_minor(contract.currency) if state == "debt" else 0
    whole = [Part(state, amount_minor - rest, why=why)] if amount_minor > rest else []
    return [*whole, *below_minimum(rest, contract)] if rest else whole


def taken_back(standing: Sequence[Part]) -> list[Part]:
    """The parts of the credit of a charge that is collected by ``standing``: all of them, below
    zero. What was captured stays captured, and is due back to the driver."""
    return [
        Part("refund_due" if p.state == "captured" else p.state, -p.amount_minor, p.payment_id)
        for p in standing
    ]


def anew(
    total_minor: int,
    route: Route,
    due_back: Sequence[Part],
    standing: Sequence[Part],
    more: str,
    wallet_minor: int = 0,
) -> list[Part]:
    """The parts of a charge that follows a credit; they sum to ``total_minor``.

    ``due_back`` is what the session's credits made due back to the driver: that pays first. Then
    what was waived or owed of the charge before (``standing``) is again, as far as it goes. What
    costs ``more`` than all of that is drawn from the wallet that pays, which has ``wallet_minor``
    with what the credit gave back; the rest is waived or owed. No card is charged with it.
    """
    if route in _BY_ROUTE or any(part.state == "external" for part in standing):
        # Also what a terminal's vendor has taken: it settles what is more or less.
        return [Part(_BY_ROUTE.get(route, "external"), total_minor)] if total_minor else []
    found: list[Part] = []
    again = ("wallet", *_OWED.values()) if route is Route.WALLET else tuple(_OWED.values())
    for source in (*due_back, *(p for p in standing if p.state in again)):
        amount = min(total_minor, source.amount_minor)
        total_minor -= amount
        if amount:
            found.append(Part(source.state, amount, source.payment_id))
    if route is Route.WALLET:
        left_minor = wallet_minor - sum(p.amount_minor for p in found if p.state == "wallet")
        drawn = min(total_minor, max(left_minor, 0))
        total_minor -= drawn
        found += [Part("wallet", drawn)] if drawn else []
    return [*found, Part(more, total_minor)] if total_minor else found


def in_the_end(
    total_minor: int,
    contract: Contract,
    hold: Payment,
    due_back: Sequence[Part],
    standing: Sequence[Part],
) -> list[Part]:
    """The parts of the charge that follows a provisional one: what its hold, which was captured
    before it lapsed, does not pay is charged again, owed or waived as that of a hold that is gone.
    """
    found = anew(total_minor, contract.route, due_back, standing, "more")
    if not found or found[-1].state != "more":
        return found
    return [*found[:-1], *gone(found[-1].amount_minor, contract, hold)]


def more_is(contract: Contract, more_minor: int, up: str, least_minor: int) -> str:
    """What becomes of ``more_minor`` that late data add to a session: waived or debt.

    On a card the policy ``adjust_up`` says so (``up``): a guest, who has no account, never owes it,
    and nobody owes less than ``least_minor``. Elsewhere the contract's ``shortfall`` does.
    """
    if not contract.route.by_card:
        return _OWED[contract.shortfall]
    owes = up == "debt" and contract.account_id is not None and more_minor >= least_minor
    return "debt" if owes else "waived"
