"""From a delivery to a charge: ``price``, a pure function of its arguments.

Running cost, quote, final charge and the record of another party all go through ``charge_of``;
they differ in where their sections come from, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattledger.errors import CantPrice
from wattledger.rating.assembly import Bill, Header
from wattledger.rating.assessment import put_on
from wattledger.rating.checks import check, check_ends, valid_tariff
from wattledger.rating.closing import close
from wattledger.rating.compiled import Compiled, compile_tariff
from wattledger.rating.concessions import conceded
from wattledger.rating.drafts import Draft, Gathering, apply_steps
from wattledger.rating.extras import fees, limit
from wattledger.rating.model import Charge, LineKind
from wattledger.rating.moments import CELL, DAY, LocalClock, Moment
from wattledger.rating.periods import sections
from wattledger.rating.rates import Rate
from wattledger.rating.sections import RESERVED, Section, second_of
from wattledger.rating.terms import Terms, check_terms
from wattledger.sessions.model import Delivery
from wattledger.tariffs.model import Tariff
from wattledger.tariffs.policies import Policies, ZeroEnergy

__all__ = ["charge_of", "price"]
_NO_TERMS = Terms()


# Bound once: looking a member up on its enumeration costs Python 3.11 as much as a call.
_MINIMUM = ZeroEnergy.MINIMUM


def price(
    delivery: Delivery, tariff: Tariff | Sequence[Tariff], terms: Terms = _NO_TERMS
) -> Charge:
    """What ``delivery`` costs. The same arguments give the same charge, byte for byte.

    Of several tariffs the first that is valid at the session's start prices all of it. Raises
    CantPrice for a delivery that is not fit to be priced (see ``checks.check``), with
    no_valid_tariff where none is valid at the start, with no_tariff_component when nothing in the
    tariff applies at any time of the session; BadInput for terms that can't be taken.
    """
    zone = check(delivery)
    given = (tariff,) if isinstance(tariff, Tariff) else tariff
    chosen = valid_tariff(given, delivery.started_at, delivery.session_id)
    warnings = check_ends(delivery, chosen.policies)
    compiled = compile_tariff(chosen, terms)
    # A reservation that expired may lie anywhere; it asks the clock for itself.
    clock = LocalClock(
        zone, chosen.policies.clock, second_of(delivery.started_at), second_of(delivery.ended_at)
    )
    header = Header(
        session_id=delivery.session_id,
        time_zone=delivery.time_zone,
        started_at=delivery.started_at,
        ended_at=delivery.ended_at,
        energy=delivery.energy_wh,
        scale=1,
        terms=terms,
        warnings=warnings,
    )
    return charge_of(sections(delivery, compiled, clock, terms), [compiled], header)


def charge_of(sections_: list[Section], compiled: list[Compiled], header: Header) -> Charge:
    """The charge for sections, priced by the tariffs they name. ``compiled`` is not empty; its
    first one's policies and limits hold for the whole."""
    policies = compiled[0].tariff.policies
    if header.terms.draws or header.terms.fees or header.terms.concessions:
        check_terms(header.terms)  # taxes and discounts were, when they were compiled
    bill = Bill(sections_, compiled, header)
    zero = None
    if policies.zero_energy is not _MINIMUM:
        zero = _zero_energy(sections_, header, policies)
    gathering = Gathering(compiled, policies, header.terms.draws, header.scale)
    gathering.add_all(sections_)
    if not gathering.priced and zero is None:
        _check_applies(sections_, compiled, header)
    apply_steps(gathering, header.scale)
    drafts = [each for each in gathering.all() if each.quantity or _takes_time(each, sections_)]
    tariff, terms = bill.tariff, bill.terms
    if zero is not None:
        return _released(bill, drafts, zero)
    bill.add(drafts)
    if tariff.min_price is not None or tariff.max_price is not None:
        limit(bill)
    if terms.fees or terms.taxes:
        fees(bill)
    return _with_assessed(bill, close(bill))


_RESERVED_KINDS = {LineKind.RESERVATION_TIME, LineKind.RESERVATION_FLAT}


def _released(bill: Bill, drafts: list[Draft], reason: str) -> Charge:
    """A session without energy: its reservation is billed all the same, and by policy its idle
    time; of everything else it says that it is not charged."""
    idle = bill.policies.zero_energy is ZeroEnergy.IDLE_ONLY
    kinds = _RESERVED_KINDS | ({LineKind.IDLE_TIME} if idle else set())
    kept = [draft for draft in drafts if draft.rate is not None and draft.rate.kind in kinds]
    if not kept and not idle:
        bill.release(reason, bill.header.energy)
        return _with_assessed(bill, close(bill, reason))
    energy = sum(d.quantity for d in drafts if d.rate and d.rate.kind is LineKind.ENERGY)
    bill.add([*kept, *(draft for draft in drafts if draft.rate is None)])
    if bill.tariff.max_price is not None:
        limit(bill, least=False)
    bill.release(reason, energy)
    return _with_assessed(bill, close(bill))


def _with_assessed(bill: Bill, charge: Charge) -> Charge:
    """With the taxes of a tax engine outside, where it was asked, and then without what was given
    back. While the engine is being asked (no taxes at all) nothing is: it is asked of all."""
    assessed = bill.terms.assessed
    if assessed:
        charge = put_on(charge, assessed, bill.tariff.tax_included)
    return conceded(charge) if bill.terms.concessions and assessed != () else charge


def _zero_energy(sections_: list[Section], header: Header, policies: Policies) -> str | None:
    """Why the session counts as one without energy, or None. A reservation that expired is no
    session at all."""
    if all(section.activity == RESERVED for section in sections_):
        return None
    stay_s = second_of(header.ended_at) - second_of(header.started_at)
    if policies.floor_s and stay_s > policies.floor_s:
        return None
    if header.energy == 0:
        return "no energy was delivered"
    if 0 < header.energy < policies.floor_wh * header.scale:
        return f"less than the least amount of {policies.floor_wh} Wh was delivered"
    return None


def _takes_time(draft: Draft, sections_: list[Section]) -> bool:
    return any(sections_[index].to_at > sections_[index].from_at for index, _ in draft.uses)


def _check_applies(sections_: list[Section], compiled: list[Compiled], header: Header) -> None:
    charged = [section for section in sections_ if section.activity != RESERVED]
    if not charged:
        return  # a reservation that nothing prices is free
    for section in charged:
        if section.tariff < 0:
            continue
        at = section.moment
        for table in compiled[section.tariff].tables.values():
            if any(_in_its_time(rate, at) for rate in table[at[CELL]]):
                return
    raise CantPrice(
        "no_tariff_component",
        f"session {header.session_id}: no element of tariff {compiled[0].tariff.id!r} applies at "
        "any time of it; give the tariff an element without restrictions, at price 0 if it is free",
    )


def _in_its_time(rate: Rate, at: Moment) -> bool:
    """Whether it would be in force but for what was counted so far: what begins after a grace or
    after some kWh has a meaning for a session that ends before that, which is that it is free."""
    return all(low <= at[DAY] < high for index, low, high in rate.checks if index == DAY) and all(
        special(at) for special in rate.specials
    )
