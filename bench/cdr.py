"""One OCPI CDR from its JSON text to the result with its lines, beside msgspec's typed decoding.

Blocks of both alternate, so that whatever else the machine does hits both; the figure is the
median of the blocks' ratios.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wattledger.rating.compiled import compile_tariff
from wattledger.rating.records import cdr_tariffs, price_cdr
from wattledger.rating.terms import Discount, Terms
from wattledger.tariffs import Tariff
from wattledger.wire.ocpi import v221

BLOCKS = 15
START = datetime(2026, 7, 1, tzinfo=UTC)
# The floor: every field of the CDR and of its tariffs typed, as msgspec decodes them.
TYPED = msgspec.json.Decoder(
    msgspec.defstruct(
        "TypedCdr",
        [
            (
                field.name,
                tuple[v221.Tariff, ...] if field.name == "tariffs" else field.type,
                msgspec.field(default=None if field.name != "tariffs" else ()),
            )
            for field in msgspec.structs.fields(v221.Cdr)
        ],
        frozen=True,
    )
)


def sample_cdr(periods: int, elements: int) -> bytes:
    """A CDR that is cut at its tariff's changes and whose totals are right.

    With 4 periods and 3 elements about 3.7 kB.
    """
    half_hours = elements > 3
    step = timedelta(minutes=30 if half_hours else 60)
    cdr = _frame(START + periods * step)
    cdr["tariffs"] = [_tariff(elements)]
    cdr["charging_periods"] = [
        _period(START + i * step, i, step, parked=i == periods - 1 and periods > 1)
        for i in range(periods)
    ]
    charge = price_cdr(json.dumps(cdr).encode())
    assert not charge.warnings, charge.warnings
    cdr["total_cost"] = {"excl_vat": float(charge.net_minor) / 100}
    cdr["total_energy"] = charge.energy_wh / 1000
    raw = json.dumps(cdr).encode()
    assert not price_cdr(raw).differences
    return raw


def _tariff(count: int) -> dict[str, Any]:
    elements: list[dict[str, Any]] = []
    for i in range(count - 1):
        start, end = (f"{m // 60 % 24:02d}:{m % 60:02d}" for m in (i * 30, i * 30 + 30))
        if count == 3:
            start, end = (("16:00", "21:00"), ("07:00", "16:00"))[i]
        elements.append(
            {
                "price_components": [
                    {"type": "ENERGY", "price": (25 + i % 40) / 100, "vat": 10.0, "step_size": 1},
                    {"type": "TIME", "price": 1.2, "vat": 10.0, "step_size": 60},
                ],
                "restrictions": {"start_time": start, "end_time": end},
            }
        )
    elements.append(
        {
            "price_components": [
                {"type": "FLAT", "price": 0.5, "vat": 20.0, "step_size": 1},
                {"type": "ENERGY", "price": 0.21, "vat": 10.0, "step_size": 1},
                {"type": "TIME", "price": 1.2, "vat": 10.0, "step_size": 60},
                {"type": "PARKING_TIME", "price": 3.0, "vat": 20.0, "step_size": 300},
            ]
        }
    )
    return {
        "country_code": "BE",
        "party_id": "BEC",
        "id": "16",
        "currency": "EUR",
        "type": "REGULAR",
        "tariff_alt_text": [{"language": "en", "text": "Energy by time of day, time by the hour."}],
        "tariff_alt_url": "https://example.org/tariffs/16",
        "elements": elements,
        "last_updated": "2026-06-17T11:16:55Z",
    }


def _period(start: datetime, i: int, step: timedelta, *, parked: bool) -> dict[str, Any]:
    hours = step / timedelta(hours=1)
    volumes = {"ENERGY": (5123 + i) / 1000, "TIME": hours, "MIN_POWER": 4.2, "MAX_POWER": 7.1}
    if parked:
        volumes = {"PARKING_TIME": hours}
    return {
        "start_date_time": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "dimensions": [{"type": name, "volume": volume} for name, volume in volumes.items()],
        "tariff_id": "16",
    }


def _frame(end: datetime) -> dict[str, Any]:
    signed = [
        {"nature": nature, "plain_data": "31372E302E" * 6, "signed_data": "4F434D467C" * 30}
        for nature in ("Start", "End")
    ]
    return {
        "country_code": "BE",
        "party_id": "BEC",
        "id": "CDR-0001",
        "start_date_time": f"{START:%Y-%m-%dT%H:%M:%SZ}",
        "end_date_time": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "session_id": "S-1",
        "cdr_token": {
            "country_code": "DE",
            "party_id": "EMP",
            "uid": "012345678",
            "type": "RFID",
            "contract_id": "DE-EMP-C12345678-X",
        },
        "auth_method": "WHITELIST",
        "cdr_location": {
            "id": "LOC1",
            "name": "Station Square",
            "address": "Station Square 1",
            "city": "Gent",
            "postal_code": "9000",
            "country": "BEL",
            "coordinates": {"latitude": "51.047599", "longitude": "3.729944"},
            "evse_uid": "3256",
            "evse_id": "BE*BEC*E041503003",
            "connector_id": "1",
            "connector_standard": "IEC_62196_T2",
            "connector_format": "SOCKET",
            "connector_power_type": "AC_3_PHASE",
        },
        "currency": "EUR",
        "signed_data": {
            "encoding_method": "OCMF",
            "encoding_method_version": 1,
            "public_key": "3059301306072a8648ce3d020106082a8648ce3d0301070342" * 2,
            "signed_values": signed,
            "url": "https://example.org/verify",
        },
        "last_updated": f"{end:%Y-%m-%dT%H:%M:%SZ}",
    }


def ratio(periods: int, elements: int, *, warnings: bool = True) -> dict[str, Any]:
    """µs of ours and of the floor (the best block of each), the median ratio and its spread."""
    raw = sample_cdr(periods, elements)
    count = max(3, 2000 // (periods + elements))
    pairs = [
        (
            _block_us(lambda: price_cdr(raw, warnings=warnings), count),
            _block_us(lambda: TYPED.decode(raw), count),
        )
        for _ in range(BLOCKS)
    ]
    ratios = sorted(ours / floor for ours, floor in pairs)
    return {
        "periods": periods,
        "elements": elements,
        "bytes": len(raw),
        "ours_us": round(min(ours for ours, _ in pairs), 1),
        "floor_us": round(min(floor for _, floor in pairs), 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_min": round(ratios[0], 2),
        "ratio_max": round(ratios[-1], 2),
    }


def growth() -> list[dict[str, Any]]:
    """µs a CDR as the periods and the elements grow, the tariff compiled before; and compiling."""
    shapes = ((1, 3), (10, 3), (100, 3), (1000, 3), (4, 1), (4, 10), (4, 100), (4, 1000))
    return [_grown(periods, elements) for periods, elements in shapes]


def _grown(periods: int, elements: int) -> dict[str, Any]:
    raw = sample_cdr(periods, elements)
    count = max(2, 300 // periods)
    return {
        "periods": periods,
        "elements": elements,
        "price_us": round(min(_block_us(lambda: price_cdr(raw), count) for _ in range(5))),
        "compile_us": round(min(_compile_us(cdr_tariffs(raw)[0], i) for i in range(3))),
    }


def _compile_us(tariff: Tariff, i: int) -> float:
    # Other discounts each time: under equal ones a tariff is compiled once.
    terms = Terms(discounts=(Discount(f"{len(tariff.elements) % 100}.{i + 1}"),))
    return _block_us(lambda: compile_tariff(tariff, terms), 1)


def _block_us(call: Callable[[], object], count: int) -> float:
    began = time.perf_counter_ns()
    for _ in range(count):
        call()
    return (time.perf_counter_ns() - began) / count / 1000
