"""How the money of a session is collected: the first rule that matches, as terms of its contract.

Pure. What a rule says in major units is here in the smallest unit of the entity's currency; the
size of a hold that goes by history or by the processor is looked up by the pipeline.
"""

from __future__ import annotations

import msgspec

from wattledger.contract import PaymentTerms
from wattledger.entitlements.directory import Snapshot
from wattledger.entitlements.model import PaymentRule, Policies
from wattledger.entitlements.offers import Asked, matches
from wattledger.money import parse_minor


class HoldStep(msgspec.Struct, frozen=True):
    """Below ``below_power_w``, or above all, this much."""

    amount_minor: int
    below_power_w: int | None = None


class HoldPolicy(msgspec.Struct, frozen=True):
    """How much is held: by ``steps`` of power (one step: always as much); by history, where
    ``percentile`` is set and there is enough of it; with neither as the processor's steps say."""

    steps: tuple[HoldStep, ...] = ()
    percentile: int | None = None
    min_minor: int = 0
    max_minor: int | None = None
    history_days: int = 90
    history_least: int = 20

    def by_power(self, power_w: int) -> int | None:
        """The first step whose power is above the charge point's; None: the processor's count."""
        for step in self.steps:
            if step.below_power_w is None or power_w < step.below_power_w:
                return step.amount_minor
        return None

    def within(self, size_minor: int) -> int:
        """A size by history, not below and not above what is allowed."""
        size_minor = max(size_minor, self.min_minor)
        return size_minor if self.max_minor is None else min(size_minor, self.max_minor)


def rule_for(snapshot: Snapshot, asked: Asked) -> PaymentRule | None:
    """The first rule that matches; None: nothing is said, and the defaults hold."""
    for rule in snapshot.payment_rules:
        if matches(rule, asked):
            return rule
    return None


def terms_of(rule: PaymentRule | None, policies: Policies, currency: str) -> PaymentTerms:
    """What the contract says of it. Late data go by the network's policies where no rule does."""
    if rule is None:
        return PaymentTerms(
            more=policies.adjust_up, more_least_minor=policies.adjust_up_least_minor
        )

    def minor(amount: str) -> int:
        return parse_minor(amount, currency)

    least = policies.adjust_up_least_minor if rule.more_least is None else minor(rule.more_least)
    return PaymentTerms(
        increment_at_percent=rule.increment_at_percent,
        increment_by_minor=minor(rule.increment_by),
        increment_to_minor=minor(rule.increment_to),
        stop_at_ceiling=rule.stop_at_ceiling,
        overcapture=rule.overcapture,
        extended_authorization=rule.extended_authorization,
        partial_authorization=rule.partial_authorization,
        second_charge=rule.second_charge,
        below_minimum=rule.below_minimum,
        zero_energy=rule.zero_energy,
        lapse=rule.lapse,
        gone=rule.gone,
        block_on_debt=rule.block_on_debt,
        dunning_days=tuple(rule.dunning_days),
        more=rule.more or policies.adjust_up,
        more_least_minor=least,
        more_notice_hours=rule.more_notice_hours,
        least_hold_minor=minor(rule.least_hold),
    )


def hold_policy(rule: PaymentRule | None, currency: str) -> HoldPolicy:
    """How its hold is sized."""
    if rule is None:
        return HoldPolicy()

    def minor(amount: str) -> int:
        return parse_minor(amount, currency)

    steps = tuple(HoldStep(minor(step.amount), step.below_power_w) for step in rule.holds)
    if rule.hold is not None:
        steps = (HoldStep(minor(rule.hold)),)
    return HoldPolicy(
        steps=steps,
        percentile=rule.hold_percentile,
        min_minor=minor(rule.hold_min) if rule.hold_min else 0,
        max_minor=minor(rule.hold_max) if rule.hold_max else None,
        history_days=rule.history_days,
        history_least=rule.history_least,
    )
