"""Another party's record (an OCPI CDR) priced: its periods as given, by the same function.

A CDR is cut by who wrote it, at every change of price (OCPI mod_cdrs, ChargingPeriod). We price
each period by what held at its start, and say where one runs over a change. Only a grace on idle
time, which OCPI has no words for, is cut by us: idle time is even by nature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

import msgspec

from wattledger.clock import zone_named
from wattledger.errors import BadInput, CantPrice
from wattledger.rating.assembly import Header
from wattledger.rating.checks import first_valid_last, valid_tariff
from wattledger.rating.compiled import Compiled, compile_tariff
from wattledger.rating.differences import compare
from wattledger.rating.engine import charge_of
from wattledger.rating.model import Charge
from wattledger.rating.record_sections import Record
from wattledger.rating.terms import Terms
from wattledger.rating.zones import zone_of_country
from wattledger.tariffs.model import Tariff
from wattledger.tariffs.ocpi import read_ocpi
from wattledger.tariffs.policies import (
    Policies,
    TariffChoice,
    ZoneSource,
)
from wattledger.tariffs.reader import read_policies
from wattledger.tariffs.validity import is_valid
from wattledger.wire.ocpi.cdrs import Cdr, decode_cdr

_NO_TERMS = Terms()
# What is remembered of tariffs: how many, and how much of their text in all.
_CACHE_MAX, _TEXT_MAX = 1024, 64_000_000
_read: dict[tuple[bytes, str], tuple[Tariff, tuple[str, ...]]] = {}
_over: dict[tuple[int, Policies], tuple[Tariff, Tariff]] = {}
_lock = Lock()


# Bound once: looking a member up on its enumeration costs Python 3.11 as much as a call.
_FIRST_VALID = TariffChoice.FIRST_VALID
_COUNTRY = ZoneSource.COUNTRY


def price_cdr(
    raw: bytes,
    tariffs: Sequence[Tariff] = (),
    *,
    time_zone: str | None = None,
    terms: Terms = _NO_TERMS,
    policies: Mapping[str, object] | None = None,
    version: str | None = None,
    warnings: bool = True,
) -> Charge:
    """What the CDR in ``raw`` (OCPI 2.1.1, 2.2.1 or 2.3.0) costs.

    ``tariffs`` take the place of those in the CDR; ``policies`` are named values over theirs.
    Without ``warnings`` nobody looks for periods that run over a change of price, or compares the
    record's own totals; what was not read or is priced in spite of a doubt is said all the same.
    Raises Malformed and BadInput for a record that can't be taken, CantPrice for one that can't
    be priced: no_valid_tariff, missing_time_zone, currency_differs, negative_energy,
    missing_measurement, no_tariff_component and those of the policies that refuse.
    """
    return priced_cdr(
        raw, tariffs, time_zone=time_zone, terms=terms, policies=policies, version=version,
        warnings=warnings,
    )[0]  # fmt: skip


def priced_cdr(
    raw: bytes,
    tariffs: Sequence[Tariff] = (),
    *,
    time_zone: str | None = None,
    terms: Terms = _NO_TERMS,
    policies: Mapping[str, object] | None = None,
    version: str | None = None,
    warnings: bool = True,
) -> tuple[Charge, list[Tariff]]:
    """As ``price_cdr``, with the tariffs that priced it, in the charge's order."""
    used_version, cdr, said = decode_cdr(raw, version)
    given: Sequence[Tariff] = tariffs
    if not given:
        found = []
        for i, each in enumerate(cdr.tariffs):
            tariff, more = _embedded(bytes(each), used_version, f"$.tariffs[{i}]")
            found.append(tariff)
            if more:
                said += more
        given = found
    if policies:
        given = [with_policies(tariff, policies) for tariff in given]
    return _priced(cdr, given, time_zone, terms, said, looks=warnings)


def cdr_tariffs(raw: bytes, version: str | None = None) -> list[Tariff]:
    """The tariffs in a CDR."""
    used_version, cdr, _ = decode_cdr(raw, version)
    return [
        _embedded(bytes(each), used_version, f"$.tariffs[{i}]")[0]
        for i, each in enumerate(cdr.tariffs)
    ]


def with_policies(tariff: Tariff, over: Mapping[str, object]) -> Tariff:
    """The tariff with some of its policies replaced, one and the same for the same ones; raises
    BadInput for one it does not know."""
    made = read_policies(over, "$.policies", tariff.policies)
    known = _over.get((id(tariff), made))
    if known is not None and known[0] is tariff:
        return known[1]
    found = msgspec.structs.replace(tariff, policies=made)
    with _lock:
        _over[id(tariff), made] = (tariff, found)
        if len(_over) > _CACHE_MAX:
            del _over[next(iter(_over))]
    return found


def _embedded(raw: bytes, version: str, path: str) -> tuple[Tariff, list[str]]:
    """Read once for the same bytes, so that it is compiled once too. What is said of it is said
    of its place in this record."""
    known = _read.get((raw, version))
    if known is None:
        try:
            tariff, warnings = read_ocpi(raw, version, "$")
        except BadInput as error:
            raise type(error)(path + error.path[1:], error.got, error.expected) from None
        known = (tariff, tuple(warnings))
        with _lock:
            _read[raw, version] = known
            while len(_read) > _CACHE_MAX or sum(len(text) for text, _ in _read) > _TEXT_MAX:
                del _read[next(iter(_read))]
    tariff, said = known
    return tariff, [path + warning[1:] for warning in said]


def _priced(
    cdr: Cdr,
    tariffs: Sequence[Tariff],
    zone_name: str | None,
    terms: Terms,
    warnings: list[str],
    *,
    looks: bool,
) -> tuple[Charge, list[Tariff]]:
    used, places = _choose(cdr, tariffs, warnings)
    compiled = [compile_tariff(tariff, terms) for tariff in used]
    policies = used[0].policies
    for tariff in used:
        if tariff.currency != cdr.currency:
            raise CantPrice(
                "currency_differs",
                f"CDR {cdr.id} is in {cdr.currency} and tariff {tariff.id!r} in "
                f"{tariff.currency}: give the tariff it was made with",
            )
    zone = _zone(cdr, zone_name, compiled, policies, warnings)
    known = zone_named(zone)
    assert known is not None, "it was looked up"
    if getattr(cdr, "credit", None):
        of = getattr(cdr, "credit_reference_id", None)
        warnings.append(
            f"$.credit: it takes back {of or 'another CDR'}; the amounts here are those of the "
            "session, to be counted with the other sign"
        )
    record = Record(cdr, compiled, places, known, terms, warnings)
    sections = record.sections(looks=looks)
    header = Header(
        session_id=cdr.id,
        time_zone=zone,
        started_at=cdr.start_date_time,
        ended_at=cdr.end_date_time,
        energy=record.energy,
        scale=record.scale,
        terms=terms,
        warnings=tuple(warnings),
    )
    charge = charge_of(sections, compiled, header)
    differences = compare(cdr, charge) if looks else ()
    if differences:
        charge = msgspec.structs.replace(charge, differences=differences)
    return charge, used


def _choose(
    cdr: Cdr, tariffs: Sequence[Tariff], warnings: list[str]
) -> tuple[list[Tariff], list[int]]:
    """The tariffs that price something, and for each period the place of its own, -1 none."""
    periods = cdr.charging_periods
    start = cdr.start_date_time
    named = {period.tariff_id for period in periods}
    first = tariffs[0] if tariffs else None
    if (
        first is None
        or named == {None}
        or (len(tariffs) == 1 and named == {first.id})
        or first.policies.tariff_choice is _FIRST_VALID
    ):
        return [valid_tariff(tariffs, start, cdr.id)], [0] * len(periods)
    # Of several with one id (versions of it) the first that is valid.
    known = {tariff.id.casefold(): tariff for tariff in first_valid_last(tariffs, start)}
    used: list[Tariff] = []
    places = []
    for i, period in enumerate(periods):
        if period.tariff_id is None:
            # OCPI: no tariff is relevant to this period.
            places.append(-1)
            continue
        tariff = known.get(period.tariff_id.casefold())
        if tariff is None:
            tariff = _unnamed(cdr, tariffs, i, period.tariff_id, warnings)
        if tariff not in used:
            if not is_valid(tariff, start):
                valid_tariff([tariff], start, cdr.id)
            used.append(tariff)
        places.append(used.index(tariff) if len(used) > 1 else 0)
    return used, places


def _unnamed(
    cdr: Cdr, tariffs: Sequence[Tariff], i: int, named: str, warnings: list[str]
) -> Tariff:
    if len(tariffs) != 1:
        ids = ", ".join(repr(tariff.id) for tariff in tariffs)
        raise CantPrice(
            "no_valid_tariff",
            f"CDR {cdr.id}: $.charging_periods[{i}].tariff_id is {named!r}, and the tariffs given "
            f"are {ids}: give that one too, or set the policy tariff_choice=first_valid",
        )
    warnings.append(
        f"$.charging_periods[{i}].tariff_id: is {named!r}, priced by the only tariff given, "
        f"{tariffs[0].id!r}"
    )
    return tariffs[0]


def _zone(
    cdr: Cdr, given: str | None, compiled: list[Compiled], policies: Policies, warnings: list[str]
) -> str:
    """The IANA zone: given, in the record, or the country's only one. Raises CantPrice where a
    price depends on it and it is not known."""
    for name, path in ((given, "time_zone"), (cdr.time_zone, "$.location.time_zone")):
        if name is not None:
            if zone_named(name) is None:
                raise BadInput(path, name, "an IANA time zone such as Europe/Berlin")
            return name
    country = cdr.country
    if country is not None and policies.time_zone is _COUNTRY:
        found = zone_of_country(country)
        if found is not None:
            return found
    if any(each.reads_clock for each in compiled):
        several = f"{country[:20]} has several" if country else "the record names no country"
        raise CantPrice(
            "missing_time_zone",
            f"CDR {cdr.id}: its tariff changes with the local clock, and no time zone is given "
            f"({several}): give --time-zone, such as America/New_York",
        )
    warnings.append("$.cdr_location: no time zone is known; no price depends on it, and times are "
                    "shown in UTC")  # fmt: skip
    return "UTC"
