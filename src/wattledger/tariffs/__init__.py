"""Price lists: what a tariff is, and how it is read from configuration."""

from wattledger.tariffs.model import (
    Cap,
    Component,
    Day,
    Dimension,
    Element,
    Policies,
    Restrictions,
    StepRounding,
    Tariff,
    Unit,
    ZeroEnergy,
)
from wattledger.tariffs.reader import read_tariff, read_tariffs, to_body

__all__ = [
    "Cap",
    "Component",
    "Day",
    "Dimension",
    "Element",
    "Policies",
    "Restrictions",
    "StepRounding",
    "Tariff",
    "Unit",
    "ZeroEnergy",
    "read_tariff",
    "read_tariffs",
    "to_body",
]
