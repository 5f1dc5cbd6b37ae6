"""A charge as bytes: the same charge is the same bytes, and back."""

from __future__ import annotations

import msgspec

from wattledger.errors import Malformed
from wattledger.rating.model import Charge

# Fields in the order they are defined, which "deterministic" keeps for structs; the option
# guards against a mapping or set that a later version may bring in.
_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Charge)


def encode(charge: Charge) -> bytes:
    """The canonical JSON of ``charge``."""
    return _ENCODER.encode(charge)


def decode(raw: bytes) -> Charge:
    """The charge in ``raw``; raises Malformed when it holds none."""
    try:
        return _DECODER.decode(raw)
    except msgspec.MsgspecError as error:
        raise Malformed("$", raw[:80], f"a charge as JSON ({error})") from None
