"""How money is collected: the processor's account and the sizes of holds."""

from __future__ import annotations

from typing import Literal

from wattledger import money
from wattledger.errors import BadInput
from wattledger.payments.stripe import amounts
from wattledger.section import Section

_RATE_MAX = 1000


class HoldStep(Section, frozen=True):
    """Up to (not including) ``below_power_w`` the hold is ``amount``; without it, above all."""

    amount: str
    below_power_w: int | None = None


class Processor(Section, frozen=True):
    """An account at a card processor. Two entities never share one."""

    id: str
    entity: str
    kind: Literal["stripe"]
    api_key_env: str
    webhook_secret_env: str
    holds: tuple[HoldStep, ...]
    base_url: str | None = None
    files_base_url: str | None = None
    """Where files are uploaded to; none: to ``base_url``, or where Stripe takes them."""
    timeout_s: int = 20
    charge_max: str | None = None
    """A hold, a capture or a charge above this waits for a person. None: ten times the largest of
    ``holds``, and 50,000 of the currency's smallest unit at least."""
    publishable_key_env: str | None = None
    """The key that the page at the charge point has for the processor's own card fields; none:
    nobody can pay there."""
    rate_per_s: int | None = None
    """Calls in a second from this process; None: 80 with a live key, 20 with a test key."""
    endpoint_rate_per_s: int = 20


def hold_minor(processor: Processor, power_w: int, currency: str) -> int:
    """The size of a hold: the first step whose power is above the charge point's."""
    for step in processor.holds:
        if step.below_power_w is None or power_w < step.below_power_w:
            return money.parse_minor(step.amount, currency)
    raise BadInput("holds", power_w, "a last step without below_power_w")


_CHARGE_MAX_LEAST = 50_000


def charge_max_minor(processor: Processor, currency: str) -> int:
    """Above this a payment waits for a person."""
    if processor.charge_max is not None:
        return money.parse_minor(processor.charge_max, currency)
    largest = max(money.parse_minor(step.amount, currency) for step in processor.holds)
    return max(_CHARGE_MAX_LEAST, 10 * largest)


def check_processor(path: str, processor: Processor, currency: str) -> None:
    """Raises BadInput when the steps do not size every hold, or in a currency that the processor
    does not charge in."""
    if currency not in amounts.KNOWN:
        expected = f"an entity whose currency Stripe charges in, not {currency}"
        raise BadInput(f"{path}.entity", processor.entity, expected)
    for i, step in enumerate(processor.holds):
        where = f"{path}.holds[{i}].amount"
        size_minor = money.parse_minor(step.amount, currency, where)
        if size_minor <= 0:
            raise BadInput(where, step.amount, "a positive amount")
        if size_minor % amounts.step_minor(currency):
            smallest = money.major_text(amounts.step_minor(currency), currency)
            raise BadInput(where, step.amount, f"a multiple of {smallest} {currency} (Stripe's)")
    for name in ("rate_per_s", "endpoint_rate_per_s"):
        rate = getattr(processor, name)
        if rate is not None and not 1 <= rate <= _RATE_MAX:
            raise BadInput(f"{path}.{name}", rate, f"between 1 and {_RATE_MAX} calls in a second")
    if not processor.holds or processor.holds[-1].below_power_w is not None:
        raise BadInput(f"{path}.holds", "no last step", "a last step without below_power_w")
    if processor.charge_max is not None:
        where = f"{path}.charge_max"
        most_minor = money.parse_minor(processor.charge_max, currency, where)
        if most_minor < max(money.parse_minor(s.amount, currency) for s in processor.holds):
            raise BadInput(where, processor.charge_max, "no less than the largest of holds")
