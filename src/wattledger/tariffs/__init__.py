"""Price lists: what a tariff is, and how it is read from configuration."""

from wattledger.tariffs.model import (
    Cap,
    Component,
    Day,
    Dimension,
    Element,
    EvseKind,
    PriceLimit,
    PriceLock,
    Reservation,
    Restrictions,
    Tariff,
    TaxIncluded,
    TaxRate,
    Text,
    Unit,
)
from wattledger.tariffs.policies import Policies, StepRounding, ZeroEnergy
from wattledger.tariffs.reader import read_policies, read_tariff, read_tariffs, to_body

__all__ = [
    "Cap",
    "Component",
    "Day",
    "Dimension",
    "Element",
    "EvseKind",
    "Policies",
    "PriceLimit",
    "PriceLock",
    "Reservation",
    "Restrictions",
    "StepRounding",
    "Tariff",
    "TaxIncluded",
    "TaxRate",
    "Text",
    "Unit",
    "ZeroEnergy",
    "read_policies",
    "read_tariff",
    "read_tariffs",
    "to_body",
]
