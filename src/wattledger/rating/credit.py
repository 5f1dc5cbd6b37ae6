"""The document that takes a charge back: the same lines and taxes, negated, and why."""

from __future__ import annotations

from datetime import datetime

import msgspec

from wattledger.errors import Malformed
from wattledger.rating.model import Charge, Line, TaxAmount


class Credit(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of one charge, taken back. Amounts in minor units and ``energy`` in Wh are below zero
    where the charge's are above. ``credit_of`` is the charge's id, and the digest names its very
    bytes."""

    credit_of: str
    credit_of_digest: str
    reason: str
    session_id: str
    currency: str
    time_zone: str
    started_at: datetime
    ended_at: datetime
    lines: tuple[Line, ...]
    net_minor: int
    tax_minor: int
    total_minor: int
    taxes: tuple[TaxAmount, ...]
    streams: tuple[tuple[str, int], ...]
    energy: int

    @property
    def energy_wh(self) -> int:
        """Whole Wh, below zero."""
        return self.energy


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Credit)


def credit_of(charge: Charge, charge_id: str, digest: str, reason: str) -> Credit:
    """The credit of ``charge``, whose document has ``digest``."""
    return Credit(
        credit_of=charge_id,
        credit_of_digest=digest,
        reason=reason,
        session_id=charge.session_id,
        currency=charge.currency,
        time_zone=charge.time_zone,
        started_at=charge.started_at,
        ended_at=charge.ended_at,
        lines=tuple(
            Line(line.kind, line.text, -line.net_minor, -line.tax_minor, -line.total_minor)
            for line in charge.lines
        ),
        net_minor=-charge.net_minor,
        tax_minor=-charge.tax_minor,
        total_minor=-charge.total_minor,
        taxes=tuple(msgspec.structs.replace(tax, tax_minor=-tax.tax_minor) for tax in charge.taxes),
        streams=tuple((stream, -net) for stream, net in charge.streams),
        energy=-charge.energy_wh,
    )


def encode_credit(credit: Credit) -> bytes:
    """The canonical JSON of ``credit``."""
    return _ENCODER.encode(credit)


def decode_credit(raw: bytes) -> Credit:
    """The credit in ``raw``; raises Malformed when it holds none."""
    try:
        return _DECODER.decode(raw)
    except msgspec.MsgspecError as error:
        raise Malformed("$", raw[:80], f"a credit as JSON ({error})") from None
