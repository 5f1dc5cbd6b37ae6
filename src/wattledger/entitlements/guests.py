"""Who starts by a card at a terminal, beside any account: a guest, told by the token."""

from __future__ import annotations

from wattledger.contract import Route
from wattledger.entitlements.decide import Paid
from wattledger.entitlements.directory import Snapshot
from wattledger.entitlements.terminals import STRIPE
from wattledger.errors import BadInput

DIRECT = "DirectPayment"
"""The type of an OCPP 2.1 token that is a payment's own reference."""


def at_terminal(
    snapshot: Snapshot, token: str, charge_point_id: str, token_type: str = ""
) -> Paid | None:
    """Where a charge point sends the tag that its terminals share, or by the token's type says that
    its own terminal has read a card: the guest who paid there. None for any other token."""
    place = snapshot.place_of(charge_point_id)
    direct = token_type == DIRECT
    if place is None or not (direct or snapshot.is_terminal_token(token, charge_point_id)):
        return None
    plan = snapshot.guest_plan(place[0])
    return Paid(plan.id if plan else "", Route.TERMINAL)


def reader_at(
    snapshot: Snapshot, charge_point_id: str, connector_id: int | None, name: str, path: str
) -> str:
    """The reader that is meant by a terminal's id or by its own, where it serves the EVSE. Raises
    BadInput: a card is read for no EVSE elsewhere, and by no vendor's terminal for us."""
    mine = [
        each
        for each in snapshot.terminals_at(charge_point_id, connector_id)
        if each.provider == STRIPE and each.reader is not None
    ]
    for terminal in mine:
        if name in (terminal.id, terminal.reader):
            return terminal.reader or name
    known = ", ".join(sorted(each.id for each in mine)) or "none serves it"
    raise BadInput(path, name, f"one of Stripe's terminals at {charge_point_id} ({known})")
