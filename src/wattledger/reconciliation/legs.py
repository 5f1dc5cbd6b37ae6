"""The legs, and what a difference in each of them is called. Pure.

meter      register movement of each connector, as told <-> the sessions on it
session    billed sessions <-> charges
processor  captured parts of charges, and wallets <-> the processor's items of the same payment
refunds    what went back by payment <-> the processor's items of the same refund
disputes   disputes as they stand <-> what was withdrawn and came back for them
payout     payouts <-> the items they pay out
holds      charges whose hold was gone when it was needed <-> paid otherwise, or accepted
external   charges paid elsewhere <-> what was taken there
books      charges, for each receiver <-> acknowledged messages
"""

from __future__ import annotations

from datetime import datetime, timedelta

from wattledger.energy import kwh_text
from wattledger.money import format_minor
from wattledger.reconciliation.match import Explain
from wattledger.reconciliation.model import Break, Item, Leg, Side

TITLES = {
    "meter": ("Meter", "Sessions"),
    "session": ("Sessions", "Charges"),
    "processor": ("Captured", "Processor"),
    "refunds": ("Refunds", "Refunds at the processor"),
    "disputes": ("Disputes", "Withdrawn for disputes"),
    "payout": ("Payouts", "Items paid out"),
    "holds": ("Charges whose hold was gone", "Paid otherwise, or accepted"),
    "external": ("Charges paid elsewhere", "Taken elsewhere"),
    "books": ("Charges", "Acknowledged by the books"),
}
# What was issued so long ago has been acknowledged by its receivers, or something is wrong.
TOLD_WITHIN = timedelta(minutes=10)
# A processor that was not read for so long has missed a nightly reading.
_READ_LATE = timedelta(hours=36)
# leg -> (only we have it, only they have it, both have it and differ): code and proposal
_CODES = {
    "session": (
        ("missing.charge", "Bill the session again"),
        ("missing.session", "Find the session of this charge"),
        ("energy.mismatch", "Compare the register readings with the charge"),
    ),
    "processor": (
        ("missing.external", "Charge the card again, or book the driver's debt"),
        ("missing.internal", "Find the session of this payment, or refund it"),
        ("amount.capture_mismatch", "Give back what is too much, or find what is missing"),
    ),
    "refunds": (
        (
            "missing.external",
            "See whether the processor gave it back; try again, or pay it by hand",
        ),
        (
            "missing.internal",
            "It was made at the processor: take it over as a refund of its session",
        ),
        ("amount.refund_mismatch", "Compare the refund with the processor's lines of it"),
    ),
    "disputes": (
        ("missing.external", "Wait for the processor to withdraw it, then ask the processor"),
        ("missing.internal", "Find the payment that this dispute is about"),
        ("amount.dispute_mismatch", "Compare what was withdrawn with what is disputed"),
    ),
    "payout": (
        ("missing.items", "Ask the processor for the items of this payout"),
        ("missing.payout", "Wait for the payout, then ask the processor"),
        ("amount.payout_mismatch", "Ask the processor for the missing items"),
    ),
    "external": (
        ("missing.external", "Ask whoever took the money for the payment"),
        ("missing.internal", "Find the session of this payment"),
        ("amount.external_mismatch", "Compare their price with ours; book the difference"),
    ),
    "books": (
        ("missing.acknowledgement", "See why the receiver does not answer"),
        ("missing.internal", "Find what was sent without a charge"),
        ("amount.books_mismatch", "Compare the message with the charge"),
    ),
}
# What pays instead of a hold that is gone says what the difference is, and what to do.
_GONE = {
    "hold.gone_charged": "Wait for the second charge; should the card refuse, see its debt",
    "hold.gone_owed": "Collect the debt, write it off, or accept it",
    "hold.gone_waived": "Accept it: nobody pays it",
}


def explain(leg: str) -> Explain:
    """Names the difference in a group of ``leg``. In the leg holds ``key`` is 'code|payment'."""

    def name(key: str, ours: list[Item], theirs: list[Item]) -> Break:
        which = 2 if ours and theirs else (1 if theirs else 0)
        if leg == "holds":
            code = key.partition("|")[0]
            proposal = _GONE[code]
        else:
            code, proposal = _CODES[leg][which]
        first = (ours or theirs)[0]
        left, right = TITLES[leg]
        our, their = sum(i.amount for i in ours), sum(i.amount for i in theirs)
        cause = (
            f"{first.what or key}: {left.lower()} {_text(our, first.currency)},"
            f" {right.lower()} {_text(their, first.currency)}"
        )
        money = first.currency is not None
        return Break(
            leg=leg,
            code=code,
            entity_id=first.entity_id,
            item_id=first.id,
            cause=cause,
            proposal=proposal,
            currency=first.currency,
            amount_minor=their - our if money else None,
            energy_wh=None if money else their - our,
        )

    return name


def meter_breaks(sessions: list[Item]) -> list[Break]:
    """Registers between sessions: ``key`` is 'connector|start_wh|stop_wh', in order of time.

    A register that moved between two sessions is energy nobody is billed for; one that starts
    below where the last session stopped is an overlap, or a meter that was reset.
    """
    found: list[Break] = []
    last: dict[str, tuple[Item, int]] = {}
    for item in sessions:
        connector, start, stop = item.key.split("|")
        if connector in last:
            before, before_wh = last[connector]
            moved_wh = int(start) - before_wh
            if moved_wh:
                gap = moved_wh > 0
                found.append(
                    Break(
                        leg="meter",
                        code="meter.gap" if gap else "meter.overlap",
                        entity_id=item.entity_id,
                        item_id=item.id,
                        cause=f"{connector}: the register stood at {kwh_text(before_wh)} kWh after"
                        f" session {before.id} and starts this one at {kwh_text(int(start))} kWh",
                        proposal="Rebuild the missing session from the charger's log"
                        if gap
                        else "See whether the meter was reset or replaced",
                        energy_wh=-moved_wh,
                    )
                )
        last[connector] = (item, int(stop))
    return found


def movement_breaks(movements: list[Item], sessions: list[Item]) -> list[Break]:
    """Connectors whose register moved, from the first fact to the last, otherwise than the
    sessions say from their first start to their last stop (gaps and overlaps included).
    ``sessions`` as for ``meter_breaks``."""
    ends: dict[str, tuple[int, int]] = {}
    for item in sessions:
        connector, start, stop = item.key.split("|")
        ends[connector] = (ends.get(connector, (int(start), 0))[0], int(stop))
    found: list[Break] = []
    for item in movements:
        first_wh, last_wh = ends.get(item.key, (0, 0))
        said_wh = last_wh - first_wh
        if said_wh != item.amount:
            found.append(
                Break(
                    leg="meter",
                    code="meter.mismatch",
                    entity_id=item.entity_id,
                    item_id=item.id,
                    cause=f"{item.id}: the register moved by {kwh_text(item.amount)} kWh, the"
                    f" sessions on it say {kwh_text(said_wh)} kWh",
                    proposal="Compare the first and the last session with what the charger said",
                    energy_wh=said_wh - item.amount,
                )
            )
    return found


def reading_age(now: datetime, read_at: datetime | None) -> str:
    """A sentence on how long ago the processor was last read, where that is too long."""
    if read_at is None or now - read_at <= _READ_LATE:
        return ""
    return f"The last reading of the processor is {(now - read_at) // timedelta(hours=1)} h old."


def leg_of(
    leg: str,
    ours: list[Item],
    theirs: list[Item],
    matched: int,
    breaks: list[Break],
    note: str = "",
) -> Leg:
    """The leg as a station of the chain, with its sentence and a ``note`` after it."""
    left, right = TITLES[leg]
    money = any(i.currency for i in (*ours, *theirs)) or leg not in ("meter", "session")
    return Leg(
        leg=leg,
        title=f"{left} and {right[0].lower()}{right[1:]}",
        ours=_side(left, ours, money=money),
        theirs=_side(right, theirs, money=money),
        matched=matched,
        breaks=len(breaks),
        tied=not breaks,
        sentence=" ".join(filter(None, (_sentence(leg, matched, len(breaks)), note))),
        compared=matched + len(breaks),
    )


def _side(label: str, items: list[Item], *, money: bool) -> Side:
    total = sum(item.amount for item in items)
    if money:
        return Side(label, len(items), amount_minor=total)
    return Side(label, len(items), energy_wh=total)


def _sentence(leg: str, matched: int, breaks: int) -> str:
    left, right = TITLES[leg]
    if breaks:
        return f"{breaks} of {matched + breaks} do not agree."
    if not matched:
        return "Nothing to compare yet."
    if leg == "meter":
        return f"{matched} sessions, and no register moved between two of them."
    return f"{matched} matched one by one, {left.lower()} with {right.lower()}, to the last digit."


def _text(amount: int, currency: str | None) -> str:
    return format_minor(amount, currency) if currency else f"{kwh_text(amount)} kWh"
