"""The configuration in memory, as it was in force at any time.

A ``Directory`` is immutable: the gateway swaps in a new one when the database says that
something changed. ``at`` answers for a moment, because a session is billed by what was in
force at its start, and an offline start may have been days ago.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from wattledger.entitlements.model import (
    Account,
    ChargePoint,
    Entity,
    Offer,
    PaymentRule,
    Plan,
    Policies,
    RouteFee,
    Site,
)
from wattledger.entitlements.terminals import Terminal
from wattledger.section import Activation, Section
from wattledger.tariffs import Tariff, read_tariff
from wattledger.tariffs.jurisdictions import Jurisdiction, Rules

S = TypeVar("S", bound=Section)
OFFERS, FEES, PAYMENTS, JURISDICTION = "offers", "fees", "payments", "jurisdiction"
"""Kinds of versions. All offers are one version, since their order counts, and so are all fees
and all rules about payments; of a jurisdiction its taxes are kept, and of its rules what sessions
and receipts ask: the others are asked before anything is published."""


class OfferList(Section, frozen=True):
    """The offers in force, the first that matches first."""

    offer: tuple[Offer, ...] = ()


class FeeList(Section, frozen=True):
    """The fees in force."""

    fee: tuple[RouteFee, ...] = ()


class PaymentList(Section, frozen=True):
    """The rules about payments in force, the first that matches first."""

    payment: tuple[PaymentRule, ...] = ()


class Snapshot:
    """What was in force at one moment."""

    def __init__(self, seq: int, in_force: dict[tuple[str, str], Activation]) -> None:
        self.seq = seq
        self._in_force = in_force
        self._typed: dict[tuple[str, str], Any] = {}
        self._tariffs: dict[str, Tariff | None] = {}

    def get(self, kind: str, key: str, section: type[S]) -> S | None:
        """The configured ``kind`` with this key, or None."""
        place = (kind, key)
        if place not in self._typed:
            entry = self._in_force.get(place)
            self._typed[place] = msgspec.convert(entry.body, section) if entry else None
        found: S | None = self._typed[place]
        return found

    def digest(self, kind: str, key: str) -> str | None:
        """The name of the version in force."""
        entry = self._in_force.get((kind, key))
        return entry.digest if entry else None

    def all(self, kind: str, section: type[S]) -> list[S]:
        """All of a kind, by key."""
        keys = sorted(key for its_kind, key in self._in_force if its_kind == kind)
        return [found for key in keys if (found := self.get(kind, key, section)) is not None]

    @cached_property
    def policies(self) -> Policies:
        """The network's policies, the defaults where none were applied yet."""
        return self.get("policies", "policies", Policies) or Policies()

    @cached_property
    def _by_token(self) -> dict[str, Account]:
        # OCPP compares idTags without regard to case (CiString, 1.6 §7.28).
        return {t.casefold(): a for a in self.all("account", Account) for t in a.tokens}

    @cached_property
    def _by_charge_point(self) -> dict[str, tuple[Site, ChargePoint]]:
        return {c.id: (s, c) for s in self.all("site", Site) for c in s.charge_points}

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """Which tariff for whom, in order."""
        found = self.get(OFFERS, OFFERS, OfferList)
        return found.offer if found else ()

    @cached_property
    def fees(self) -> tuple[RouteFee, ...]:
        """What ways of paying add."""
        found = self.get(FEES, FEES, FeeList)
        return found.fee if found else ()

    @cached_property
    def payment_rules(self) -> tuple[PaymentRule, ...]:
        """How money is collected, in order."""
        found = self.get(PAYMENTS, PAYMENTS, PaymentList)
        return found.payment if found else ()

    @cached_property
    def _guests(self) -> Plan | None:
        found = [plan for plan in self.all("plan", Plan) if plan.ad_hoc]
        return found[0] if len(found) == 1 else None

    def guest_plan(self, site: Site) -> Plan | None:
        """The plan of whoever comes to a site without an account."""
        return self.plan(site.ad_hoc_plan) if site.ad_hoc_plan else self._guests

    @cached_property
    def _terminals(self) -> list[Terminal]:
        return self.all("terminal", Terminal)

    def terminals_at(self, charge_point_id: str, connector_id: int | None) -> list[Terminal]:
        """The terminals that serve an EVSE; without a connector, any of the charge point."""
        return [each for each in self._terminals if each.at(charge_point_id, connector_id)]

    def is_terminal_token(self, token: str, charge_point_id: str) -> bool:
        """Whether a charge point says by this token that a card was read at a terminal."""
        said = token.casefold()
        return any(
            said == shared.casefold()
            for terminal in self.terminals_at(charge_point_id, None)
            for shared in terminal.tokens
        )

    @cached_property
    def california_pricing(self) -> bool:
        """Whether any charge point may show prices by those messages: most operators have none."""
        return any(
            site.california_pricing or any(point.california_pricing for point in site.charge_points)
            for site in self.all("site", Site)
        )

    @cached_property
    def rules(self) -> Rules:
        """What the operator states of places, beside what we ship."""
        own = [
            msgspec.convert(entry.body, Jurisdiction)
            for (kind, _), entry in sorted(self._in_force.items())
            if kind == JURISDICTION
        ]
        return Rules(own, checked=False)

    def tariff(self, tariff_id: str) -> Tariff | None:
        """A tariff by id."""
        if tariff_id not in self._tariffs:
            entry = self._in_force.get(("tariff", tariff_id))
            body = entry.body if entry else None
            self._tariffs[tariff_id] = read_tariff(body, f"$.tariff.{tariff_id}") if body else None
        return self._tariffs[tariff_id]

    def account_of(self, token: str) -> Account | None:
        """Whose token this is."""
        return self._by_token.get(token.casefold())

    def place_of(self, charge_point_id: str) -> tuple[Site, ChargePoint] | None:
        """Where a charge point stands."""
        return self._by_charge_point.get(charge_point_id)

    def site(self, site_id: str) -> Site | None:
        """A site by id."""
        return self.get("site", site_id, Site)

    def plan(self, plan_id: str) -> Plan | None:
        """A plan by id."""
        return self.get("plan", plan_id, Plan)

    def account(self, account_id: str) -> Account | None:
        """An account by id."""
        return self.get("account", account_id, Account)

    def entity(self, entity_id: str) -> Entity | None:
        """A legal entity by id."""
        return self.get("entity", entity_id, Entity)


class Directory:
    """All that was ever put in force, and what of it holds at a moment."""

    def __init__(self, entries: Sequence[Activation]) -> None:
        self.seq = max((entry.seq for entry in entries), default=0)
        self._entries = sorted(entries, key=lambda e: (e.valid_from, e.seq))
        self._times = sorted({entry.valid_from for entry in entries})
        self._snapshots: dict[int, Snapshot] = {}

    def at(self, when: datetime) -> Snapshot:
        """What was in force at ``when``. Built once per stretch between two changes."""
        stretch = bisect_right(self._times, when)
        if stretch not in self._snapshots:
            in_force: dict[tuple[str, str], Activation] = {}
            for entry in self._entries:
                if entry.valid_from > when:
                    break
                if entry.digest is None:
                    in_force.pop((entry.kind, entry.key), None)
                else:
                    in_force[entry.kind, entry.key] = entry
            self._snapshots[stretch] = Snapshot(self.seq, in_force)
        return self._snapshots[stretch]
