"""What can't be priced is refused with the code it is held for."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest
from rating_samples import IDLE, NO_TAX, at, delivery, element, energy, evidence, tariff

from wattledger.errors import CantPrice
from wattledger.rating import Source, price
from wattledger.sessions.model import Change, Delivery, Reading, Reserved

GOOD = delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:30", 500), ("2026-07-01 11:00", 900))
NAIVE = datetime.fromisoformat("2026-07-01T10:00:00")
START, MIDDLE, STOP = GOOD.readings


def reserved(start: str, end: str) -> Reserved:
    return Reserved(at(f"2026-07-01 {start}"), at(f"2026-07-01 {end}"))


def spoilt(**changes: object) -> Delivery:
    return msgspec.structs.replace(GOOD, **changes)


CASES: list[tuple[str, Delivery]] = [
    ("naive_time", spoilt(started_at=NAIVE)),
    ("naive_time", spoilt(readings=(Reading(NAIVE, 0), STOP))),
    ("naive_time", spoilt(changes=(Change(NAIVE, IDLE),))),
    ("naive_time", spoilt(stopped_at=NAIVE)),
    ("naive_time", spoilt(reserved=Reserved(NAIVE, GOOD.started_at))),
    ("too_long", spoilt(ended_at=at("2027-08-05 10:01"))),
    ("ended_before_started", spoilt(ended_at=at("2026-07-01 09:59"))),
    ("missing_reading", spoilt(readings=())),
    ("missing_reading", spoilt(readings=(START,))),
    ("missing_reading", spoilt(readings=(MIDDLE,))),
    ("reading_before_start", spoilt(started_at=at("2026-07-01 10:00:01"))),
    ("reservation_out_of_order", spoilt(reserved=reserved("09:30", "10:01"))),
    ("reservation_out_of_order", spoilt(reserved=reserved("09:30", "09:20"))),
    ("readings_out_of_order", spoilt(readings=(START, STOP, MIDDLE))),
    ("falling_register", spoilt(readings=(START, MIDDLE, Reading(STOP.at, 499)))),
    ("reading_after_end", spoilt(ended_at=at("2026-07-01 10:45"))),
    (
        "changes_out_of_order",
        spoilt(changes=(Change(STOP.at, IDLE), Change(MIDDLE.at, IDLE))),
    ),
    ("unknown_time_zone", spoilt(time_zone="Mars/Olympus")),
    ("unknown_time_zone", spoilt(time_zone="../../etc/passwd")),
    ("unknown_time_zone", spoilt(time_zone="")),
]


@pytest.mark.parametrize(
    ("code", "session"), CASES, ids=[f"{c}-{i}" for i, (c, _) in enumerate(CASES)]
)
def test_each_code(code: str, session: Delivery) -> None:
    with pytest.raises(CantPrice) as caught:
        price(session, tariff(element("", energy("0.30"))), NO_TAX)
    assert caught.value.code == code
    assert "session ses_1" in str(caught.value)


@pytest.mark.parametrize(
    ("session", "warning"),
    [
        (
            spoilt(readings=(MIDDLE, STOP)),
            "$.readings: the session started at 2026-07-01T10:00:00Z and the first reading is of "
            "2026-07-01T10:30:00Z; the register is taken to stand in between",
        ),
        (
            spoilt(readings=(START, MIDDLE), stopped_at=STOP.at),
            "$.readings: the session charged until 2026-07-01T11:00:00Z and the last reading is of "
            "2026-07-01T10:30:00Z; the register is taken to stand in between",
        ),
    ],
)
def test_an_end_that_was_not_read_stands_or_is_refused(session: Delivery, warning: str) -> None:
    stand = tariff(element("", energy("0.30")))
    charge = price(session, stand, NO_TAX)
    first, last = session.readings[0], session.readings[-1]
    # Only what was metered: 400 or 500 Wh x 0.30 = 0.12 or 0.15.
    assert charge.total_minor == (last.register_wh - first.register_wh) * 3 // 100
    assert charge.warnings == (warning,)
    # Nothing says how much the charge point could have given unread; with 6 kW, half an hour's is
    # 3,000 Wh at the most.
    (part,) = evidence(charge, "Energy")
    assert (part.source, part.error_wh) == (Source.EXTRAPOLATED, None)
    bounded = msgspec.structs.replace(session, max_power_w=6000)
    (part,) = evidence(price(bounded, stand, NO_TAX), "Energy")
    assert (part.source, part.error_wh) == (Source.EXTRAPOLATED, 3000)
    with pytest.raises(CantPrice) as caught:
        price(session, tariff(element("", energy("0.30")), unread_ends="refuse"), NO_TAX)
    assert caught.value.code == "missing_reading"


def test_a_tariff_that_never_applies() -> None:
    night = tariff(element("night", energy("0.10"), start_time="22:00", end_time="06:00"))
    with pytest.raises(CantPrice, match="no element of tariff 't' applies") as caught:
        price(GOOD, night, NO_TAX)
    assert caught.value.code == "no_tariff_component"


def test_the_good_one_is_good() -> None:
    # 0.9 x 0.30 = 0.27
    assert price(GOOD, tariff(element("", energy("0.30"))), NO_TAX).total_minor == 27
