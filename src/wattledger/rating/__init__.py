"""From a delivery to a charge and its explanation: pure, exact, in integers."""

from wattledger.rating.codec import decode, encode
from wattledger.rating.engine import price
from wattledger.rating.explain import driver_text, evidence, why
from wattledger.rating.model import ENGINE, Charge, Evidence, Line, LineKind, Period, Source
from wattledger.rating.terms import Assessed, Discount, Draw, Fee, Tax, Terms

__all__ = [
    "ENGINE",
    "Assessed",
    "Charge",
    "Discount",
    "Draw",
    "Evidence",
    "Fee",
    "Line",
    "LineKind",
    "Period",
    "Source",
    "Tax",
    "Terms",
    "decode",
    "driver_text",
    "encode",
    "evidence",
    "price",
    "why",
]
