"""To whom it is sold, and on what terms.

Guarantees: a decision reads memory only; it is the same for the same snapshot; tokens compare
without regard to case. Does not guarantee that a token still holds when the session starts:
the pipeline decides again then.
"""

from wattledger.entitlements.decide import decide, make_contract
from wattledger.entitlements.directory import Directory, Snapshot
from wattledger.entitlements.model import Account, ChargePoint, Entity, Plan, Policies, Site

__all__ = [
    "Account",
    "ChargePoint",
    "Directory",
    "Entity",
    "Plan",
    "Policies",
    "Site",
    "Snapshot",
    "decide",
    "make_contract",
]
