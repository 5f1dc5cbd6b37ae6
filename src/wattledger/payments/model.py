"""How money is collected: the processor's account and the sizes of holds."""

from __future__ import annotations

from typing import Literal

from wattledger import money
from wattledger.errors import BadInput
from wattledger.payments.stripe import amounts
from wattledger.section import Section


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
    timeout_s: int = 20


def hold_minor(processor: Processor, power_w: int, currency: str) -> int:
    """The size of a hold: the first step whose power is above the charge point's."""
    for step in processor.holds:
        if step.below_power_w is None or power_w < step.below_power_w:
            return money.parse_minor(step.amount, currency)
    raise BadInput("holds", power_w, "a last step without below_power_w")


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
    if not processor.holds or processor.holds[-1].below_power_w is not None:
        raise BadInput(f"{path}.holds", "no last step", "a last step without below_power_w")
