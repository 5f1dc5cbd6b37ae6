"""What was delivered: from facts to sessions.

Guarantees: a fact counts once however often it is sent; a delivery is a function of its facts;
the energy is the register at the stop minus the register at the start. What contradicts itself
is an Anomaly with a code, never a guess. Does not guarantee completeness: a lost reading can't
be seen, only a register that moved between two sessions.
"""

from wattledger.sessions.assemble import Anomaly, Assembled, Fact, MeterRules, assemble
from wattledger.sessions.model import Activity, Change, Delivery, Reading

__all__ = [
    "Activity", "Anomaly", "Assembled", "Change", "Delivery", "Fact", "MeterRules", "Reading",
    "assemble",
]  # fmt: skip
