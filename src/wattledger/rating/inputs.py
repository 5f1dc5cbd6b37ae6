"""A file priced, whatever it is: an OCPI CDR of any version, or a session file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from wattledger.errors import BadInput, CantPrice
from wattledger.rating.checks import valid_tariff
from wattledger.rating.compiled import compile_tariff
from wattledger.rating.engine import price
from wattledger.rating.model import Charge
from wattledger.rating.records import priced_cdr, with_policies
from wattledger.rating.terms import Terms
from wattledger.rating.zones import zone_of_country
from wattledger.sessions.model import Delivery
from wattledger.sessions.session_file import UNKNOWN_ZONE, SessionFile, read_session
from wattledger.tariffs.model import Tariff
from wattledger.tariffs.policies import ZoneSource
from wattledger.wire import exact

_NO_TERMS = Terms()


def price_file(
    raw: bytes,
    tariffs: Sequence[Tariff] = (),
    *,
    time_zone: str | None = None,
    terms: Terms = _NO_TERMS,
    policies: Mapping[str, object] | None = None,
) -> tuple[Charge, tuple[Tariff, ...]]:
    """The charge, and the tariffs it refers to (in its order).

    Raises as ``price_cdr`` and ``price`` do.
    """
    found = exact.parse(raw)
    if isinstance(found, dict) and "charging_periods" in found:
        charge, used = priced_cdr(raw, tariffs, time_zone=time_zone, terms=terms, policies=policies)
        return charge, tuple(used)
    if isinstance(found, dict) and ("readings" in found or "started_at" in found):
        if not tariffs:
            raise CantPrice(
                "no_valid_tariff",
                "a session file carries no tariff: give one (on the command line --tariff FILE)",
            )
        session = read_session(raw)
        delivery = session.delivery
        over = [with_policies(tariff, policies) for tariff in tariffs] if policies else tariffs
        chosen = valid_tariff(over, delivery.started_at, delivery.session_id)
        return price_session(session, [chosen], time_zone=time_zone, terms=terms), (chosen,)
    raise BadInput(
        "$",
        sorted(found)[:6] if isinstance(found, dict) else found,
        "an OCPI CDR (charging_periods) or a session file (readings)",
    )


def price_session(
    session: SessionFile,
    tariffs: Sequence[Tariff],
    *,
    time_zone: str | None = None,
    terms: Terms = _NO_TERMS,
) -> Charge:
    """A session file's charge: with the zone that is given, the file's, or the country's only one.

    Raises CantPrice missing_time_zone where a price depends on it and it is not known.
    """
    delivery = session.delivery
    warnings = session.warnings
    zone = time_zone or delivery.time_zone
    if zone == UNKNOWN_ZONE:
        zone, said = _zone(session, delivery, tariffs, terms)
        warnings += said
    delivery = msgspec.structs.replace(delivery, time_zone=zone)
    charge = price(delivery, tariffs, terms)
    if not warnings:
        return charge
    return msgspec.structs.replace(charge, warnings=(*warnings, *charge.warnings))


def _zone(
    session: SessionFile, delivery: Delivery, tariffs: Sequence[Tariff], terms: Terms
) -> tuple[str, tuple[str, ...]]:
    tariff = valid_tariff(tariffs, delivery.started_at, delivery.session_id)
    if session.country is not None and tariff.policies.time_zone is ZoneSource.COUNTRY:
        found = zone_of_country(session.country)
        if found is not None:
            return found, ()
    if compile_tariff(tariff, terms).reads_clock:
        country = session.country
        several = f"{country[:20]} has several" if country else "no country is named"
        raise CantPrice(
            "missing_time_zone",
            f"session {delivery.session_id}: its tariff changes with the local clock, and no time "
            f"zone is given ({several}): give location.time_zone or --time-zone, such as "
            "America/New_York",
        )
    return "UTC", (
        "$.location.time_zone: not known; no price depends on it, and times are shown in UTC",
    )
