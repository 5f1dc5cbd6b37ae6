"""A tariff in one line: what a driver is told is what is priced."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from wattledger.tariffs import read_tariff
from wattledger.tariffs.text import price_text


def _energy(price: str, **more: Any) -> dict[str, Any]:
    return {"dimension": "energy", "price": price, "unit": "kWh", **more}


def _element(*components: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "e", "components": list(components)}
    return found | ({"restrictions": restrictions} if restrictions else {})


def _text(*elements: dict[str, Any], at: str = "2026-07-01T12:00:00Z", **more: Any) -> str:
    body = {"id": "t", "name": "t", "currency": "USD", "elements": list(elements), **more}
    return price_text(read_tariff(body, "$"), datetime.fromisoformat(at).astimezone(UTC), "UTC")


START = {"dimension": "flat", "price": "1.00", "unit": "session"}
IDLE = {"dimension": "idle_time", "price": "0.20", "unit": "minute"}
TIME = {"dimension": "charging_time", "price": "3", "unit": "hour"}


@pytest.mark.parametrize(
    ("elements", "more", "text"),
    [
        ([_element(_energy("0.40"), START), _element(IDLE, min_idle_s=600)], {},
         "$0.40/kWh + $1.00 start, idle $0.20/min after 10 min, plus tax"),
        ([_element(_energy("0.405"), TIME)], {"tax_included": "yes", "currency": "EUR"},
         "€0.405/kWh + €3/h of charging, tax included"),
        ([_element(_energy("0"))], {}, "free of charge"),
        ([_element(_energy("0.30"), max_kwh="20"), _element(_energy("0.50"))], {},
         "$0.30/kWh up to 20 kWh; otherwise $0.50/kWh, plus tax"),
        ([_element(_energy("0.30"), min_power_kw="50"), _element(_energy("0"))], {},
         "$0.30/kWh from 50 kW on; otherwise free, plus tax"),
        ([_element({**IDLE, "step": 300})],
         {"caps": [{"dimension": "idle_time", "amount": "12.00"}]},
         "idle $0.20/min (in steps of 5 min) (at most $12.00), plus tax"),
        ([_element(_energy("0.40"))],
         {"min_price": {"before_taxes": "0.50"}, "max_price": {"after_taxes": "40.00"},
          "tax_included": "not_applicable"},
         "$0.40/kWh, at least $0.50 before tax in all, at most $40.00 with tax in all"),
        # What only a reservation costs is not what charging costs.
        ([_element({"dimension": "reservation_flat", "price": "5", "unit": "session"}),
          _element(_energy("0.40"))], {}, "$0.40/kWh, plus tax"),
    ],
)  # fmt: skip
def test_in_words(elements: list[dict[str, Any]], more: dict[str, Any], text: str) -> None:
    assert _text(*elements, **more) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-07-01T15:59:59Z", "$0.25/kWh, until 16:00, then $0.45/kWh, plus tax"),
        ("2026-07-01T16:00:00Z", "$0.45/kWh, until 21:00, then $0.25/kWh, plus tax"),
        # Wednesday; the next peak is further than a day from Friday evening on.
        ("2026-07-03T21:00:00Z", "$0.25/kWh, plus tax"),
        ("2026-12-24T12:00:00Z", "$0.10/kWh, until 00:00, then $0.25/kWh, plus tax"),
    ],
)
def test_the_clock_changes_the_price(at: str, text: str) -> None:
    working = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]
    elements = (
        _element(_energy("0.10"), start_date="2026-12-24", end_date="2026-12-25"),
        _element(_energy("0.45"), start_time="16:00", end_time="21:00", days=working),
        _element(_energy("0.25")),
    )
    assert _text(*elements, at=at) == text
    locked = _text(*elements, at=at, price_lock="session_start")
    assert locked == text.partition(",")[0] + ", plus tax"


def test_hours_that_wrap_past_midnight_are_those_of_the_weekday_or_of_the_start() -> None:
    night = _element(_energy("0.10"), start_time="22:00", end_time="06:00", days=["FRIDAY"])
    day = _element(_energy("0.30"))
    for policy, found in (("instant", "$0.30"), ("start_day", "$0.10")):
        text = _text(night, day, at="2026-07-04T05:00:00Z", policies={"wrap_weekday": policy})
        assert text.startswith(found), policy
    season = _element(_energy("0.20"), start_season="11-01", end_season="03-01")
    assert _text(season, day, at="2026-12-31T23:59:00Z").startswith("$0.20")
    assert _text(season, day, at="2026-03-01T00:00:00Z").startswith("$0.30")
    holiday = _element(_energy("0.20"), holiday=True)
    assert _text(holiday, day, holidays=["2026-07-01"]).startswith("$0.20/kWh, until 00:00")


def test_a_day_on_which_the_clock_goes_back_is_looked_at_as_a_whole() -> None:
    """New York, 2026-11-01: 01:30 comes twice, and 02:00 is an hour further than it looks."""
    early = _element(_energy("0.10"), start_time="00:00", end_time="02:00")
    body = {"id": "t", "name": "t", "currency": "USD",
            "elements": [early, _element(_energy("0.30"))]}  # fmt: skip
    tariff = read_tariff(body, "$")
    for at in ("05:30", "06:30"):
        moment = datetime.fromisoformat(f"2026-11-01T{at}:00+00:00")
        text = price_text(tariff, moment, "America/New_York")
        assert text == "$0.10/kWh, until 02:00, then $0.30/kWh, plus tax"
    after = datetime.fromisoformat("2026-11-01T07:00:00+00:00")
    assert price_text(tariff, after, "America/New_York").startswith("$0.30/kWh, until 00:00")
