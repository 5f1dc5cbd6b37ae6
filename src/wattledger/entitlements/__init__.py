"""To whom it is sold, and on what terms.

Guarantees: a decision reads memory only; it is the same for the same snapshot; tokens compare
without regard to case; the tariff, the fees and the taxes of a session are chosen by what was in
force at its start, and the contract says why. Does not guarantee that a token still holds when the
session starts: the pipeline decides again then. Does not count what was used of an allowance.
"""

from wattledger.entitlements.allowances import draw
from wattledger.entitlements.decide import Blocks, Paid, decide, make_contract
from wattledger.entitlements.directory import Directory, Snapshot
from wattledger.entitlements.guests import at_terminal, reader_at
from wattledger.entitlements.model import (
    Account,
    Allowance,
    ChargePoint,
    Entity,
    Offer,
    Plan,
    Policies,
    RouteFee,
    Site,
    SiteTax,
)

__all__ = [
    "Account",
    "Allowance",
    "Blocks",
    "ChargePoint",
    "Directory",
    "Entity",
    "Offer",
    "Paid",
    "Plan",
    "Policies",
    "RouteFee",
    "Site",
    "SiteTax",
    "Snapshot",
    "at_terminal",
    "decide",
    "draw",
    "make_contract",
    "reader_at",
]
