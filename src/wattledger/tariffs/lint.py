"""What is wrong with a tariff, or will surprise somebody, before a session is priced by it."""

from __future__ import annotations

from datetime import date

from wattledger.tariffs import jurisdictions
from wattledger.tariffs.findings import Finding, Severity, in_order
from wattledger.tariffs.lint_coverage import coverage_findings, unreachable
from wattledger.tariffs.lint_values import value_findings
from wattledger.tariffs.model import Tariff

__all__ = ["Finding", "Severity", "lint", "unreachable"]


def lint(
    tariff: Tariff,
    jurisdiction: str | None = None,
    on: date | None = None,
    power_w: int | None = None,
    *,
    programmes: tuple[str, ...] = (),
    ad_hoc: bool = True,
    rules: jurisdictions.Rules | None = None,
) -> tuple[Finding, ...]:
    """Everything found, the worst first; reads no clock and no file but the rules we ship.

    With a ``jurisdiction`` or ``programmes`` also their rules, as of ``on`` (None: those that have
    no end) and for a connector of ``power_w`` (None: every power, where a rule that depends on it
    warns only). ``on`` also tells what has ended.
    """
    found = [*coverage_findings(tariff), *value_findings(tariff, on)]
    if jurisdiction is not None or programmes:
        found += jurisdictions.check(
            tariff, jurisdiction, on, power_w, ad_hoc=ad_hoc, programmes=programmes, rules=rules
        )
    return in_order(found)
