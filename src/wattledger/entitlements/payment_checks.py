"""What a configuration may say of ways of paying and of how money is collected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from wattledger.contract import Route
from wattledger.entitlements.checking import (
    ROUTES,
    Configuration,
    Reach,
    before_it,
    check_selector,
    covered,
)
from wattledger.entitlements.model import Account, PaymentRule, Plan
from wattledger.errors import BadInput
from wattledger.money import parse_minor
from wattledger.section import check_known

_AMOUNTS = ("hold", "hold_min", "hold_max", "least_hold", "increment_by", "increment_to",
            "more_least")  # fmt: skip


class PaidFor(Configuration, Protocol):
    """What of a configuration is looked at here."""

    @property
    def payment(self) -> Sequence[PaymentRule]: ...


def check_payments(config: PaidFor) -> None:
    """Raises BadInput with the path of the first thing that can't be meant."""
    plans = {plan.id: plan for plan in config.plan}
    for kind in ("entity", "site", "plan"):
        for i, row in enumerate(getattr(config, kind)):
            check_routes(f"$.{kind}[{i}].routes", row.routes)
    for i, plan in enumerate(config.plan):
        _check_plan(f"$.plan[{i}]", plan)
    for i, site in enumerate(config.site):
        if site.ad_hoc_plan is not None:
            path = f"$.site[{i}].ad_hoc_plan"
            guests = {plan.id for plan in config.plan if plan.ad_hoc}
            check_known(path, site.ad_hoc_plan, guests, "plan with ad_hoc = true")
            if not plans[site.ad_hoc_plan].route.by_card:
                raise BadInput(path, site.ad_hoc_plan, "a plan that is paid by card")
    for i, account in enumerate(config.account):
        _check_account(f"$.account[{i}]", account, plans[account.plan])
    reach = Reach(config)
    entities = {entity.id for entity in config.entity}
    for i, rule in enumerate(config.payment):
        path = f"$.payment[{i}]"
        for j, entity in enumerate(rule.entities):
            check_known(f"{path}.entities[{j}]", entity, entities, "entity")
        check_selector(config, reach, path, rule)
        _check_hold(path, rule)
        _check_terms(path, rule)
        _check_amounts(config, reach, path, rule)
        if by := covered(reach, config.payment[: i + 1]):
            which = before_it("payment", by)
            raise BadInput(path, None, f"a rule that can match: {which} for all its sessions")


def check_routes(path: str, routes: Sequence[Route]) -> None:
    """Raises BadInput for what is no way of paying."""
    for i, route in enumerate(routes):
        if route not in ROUTES:
            raise BadInput(f"{path}[{i}]", route.value, "one of " + ", ".join(sorted(ROUTES)))


def _check_plan(path: str, plan: Plan) -> None:
    if plan.route in (Route.CHECKOUT, Route.TERMINAL) and not plan.ad_hoc:
        raise BadInput(f"{path}.ad_hoc", False, f"true: whoever pays by {plan.route} has no"
                       " contract")  # fmt: skip
    if plan.routes and plan.route not in plan.routes:
        raise BadInput(f"{path}.routes", [route.value for route in plan.routes],
                       f"the plan's own route {plan.route} among them")  # fmt: skip


def _check_account(path: str, account: Account, plan: Plan) -> None:
    if account.email is not None and not is_address(account.email):
        raise BadInput(f"{path}.email", account.email, "an e-mail address")
    # A wallet is filled by a card that may be charged without its holder.
    if account.consent and not (plan.route.by_card or plan.route is Route.WALLET):
        raise BadInput(f"{path}.consent", True,
                       "false: the account's plan is not paid by card")  # fmt: skip


def is_address(text: str) -> bool:
    """Whether it can be an e-mail address at all; whether it is one its mail server knows."""
    name, at, host = text.rpartition("@")
    return (
        bool(name and at and "." in host.strip("."))
        and len(text) <= 254
        and text.isprintable()
        # What a header reads as more than one address, or as another one.
        and not any(sign in text for sign in (*' ,;:<>()[]"\\', "..", "=?"))
        and "@" not in name
    )


def _check_hold(path: str, rule: PaymentRule) -> None:
    sizes = [name for name in ("hold", "holds", "hold_percentile") if getattr(rule, name)]
    by_history = rule.hold_percentile is not None
    if rule.hold is not None and len(sizes) > 1:
        raise BadInput(f"{path}.{sizes[1]}", sizes[1], "one way to size the hold: hold is set")
    for name in ("hold_min", "hold_max"):
        if getattr(rule, name) is not None and not by_history:
            raise BadInput(f"{path}.{name}", getattr(rule, name), "hold_percentile as well")
    if rule.holds and rule.holds[-1].below_power_w is not None:
        raise BadInput(f"{path}.holds", "no last step", "a last step without below_power_w")
    powers = [step.below_power_w for step in rule.holds[:-1]]
    for i, power in enumerate(powers):
        before = powers[i - 1] if i else 0
        if power is None or power <= (before or 0):
            raise BadInput(f"{path}.holds[{i}].below_power_w", power,
                           "a power above the step's before it")  # fmt: skip


def _check_terms(path: str, rule: PaymentRule) -> None:
    for name in ("increment_by", "increment_to"):
        if getattr(rule, name).strip("0.") and not rule.increment_at_percent:
            raise BadInput(f"{path}.{name}", getattr(rule, name), "increment_at_percent as well")
    if list(rule.dunning_days) != sorted(set(rule.dunning_days)):
        raise BadInput(f"{path}.dunning_days", list(rule.dunning_days), "days in order, each once")


def _check_amounts(config: PaidFor, reach: Reach, path: str, rule: PaymentRule) -> None:
    """Amounts are in the currency of one legal entity; a rule without any may be for several."""
    given = list(_amounts(path, rule))
    found = {_currency(config, site.entity): site for site in reach.sites(rule)}
    if any(amount.strip("0.") for _, amount in given) and len(found) > 1:
        expected = f"sites of one currency, not of {' and '.join(sorted(found))}"
        raise BadInput(f"{path}.sites", list(rule.sites), expected)
    for currency in found:
        sizes = {where: parse_minor(amount, currency, where) for where, amount in given}
        for where, size in sizes.items():
            if size < 0:
                raise BadInput(where, size, "an amount of 0 or more")
        least, most = (sizes.get(f"{path}.{name}") for name in ("hold_min", "hold_max"))
        if least is not None and most is not None and least > most:
            raise BadInput(f"{path}.hold_max", rule.hold_max, f"at least hold_min {rule.hold_min}")
        holds = [size for where, size in sizes.items() if where.startswith(f"{path}.holds[")]
        holds += [sizes[f"{path}.hold"]] if rule.hold is not None else []
        if holds and sizes[f"{path}.least_hold"] > min(holds):
            raise BadInput(f"{path}.least_hold", rule.least_hold, "no more than every hold")
        raised = sizes[f"{path}.increment_to"]
        if raised and holds and raised <= max(holds):
            raise BadInput(f"{path}.increment_to", rule.increment_to, "more than the hold")


def _amounts(path: str, rule: PaymentRule) -> Iterator[tuple[str, str]]:
    for name in _AMOUNTS:
        if (amount := getattr(rule, name)) is not None:
            yield f"{path}.{name}", amount
    for i, step in enumerate(rule.holds):
        yield f"{path}.holds[{i}].amount", step.amount


def _currency(config: Configuration, entity_id: str) -> str:
    return next(entity.currency for entity in config.entity if entity.id == entity_id)
