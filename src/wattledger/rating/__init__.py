"""From a delivery to a charge and its explanation: pure, exact, in integers."""

from wattledger.rating.codec import decode, encode
from wattledger.rating.engine import price
from wattledger.rating.explain import driver_text
from wattledger.rating.model import ENGINE, Charge, Evidence, Line, LineKind, Source, Terms

__all__ = [
    "ENGINE",
    "Charge",
    "Evidence",
    "Line",
    "LineKind",
    "Source",
    "Terms",
    "decode",
    "driver_text",
    "encode",
    "price",
]
