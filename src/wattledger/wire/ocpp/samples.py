"""A sampled value, the same from every version of OCPP: what the meter said, not yet judged."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value of one measurand (1.6 §7.43; 2.0.1 SampledValueType).

    ``value`` is the decimal text as it was sent, in ``unit`` times ten to the ``multiplier``. Names
    and defaults are the standard's. ``signed`` is the text of a signed record, where there is one:
    in 1.6 it stands instead of a value (format SignedData), in 2.x beside one. ``path`` says where
    in the message it stood, for whoever has to complain about it. ``unread`` is why a part of the
    message is none: in its place stands a sample without a value.
    """

    at: datetime
    value: str | None
    path: str
    measurand: str = "Energy.Active.Import.Register"
    unit: str = "Wh"
    multiplier: int = 0
    context: str = "Sample.Periodic"
    phase: str | None = None
    location: str = "Outlet"
    signed: Signed | None = None
    unread: str | None = None


class Signed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signed meter value as it came: kept to the letter, verified elsewhere.

    ``data`` is the record itself (OCMF text), already out of its base64 where it was in one;
    ``public_key`` as it was sent along, if it was.
    """

    data: str
    encoding: str = "OCMF"
    method: str = ""
    public_key: str | None = None
