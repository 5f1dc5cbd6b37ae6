"""What holds for every charge out of a record, out of a session file, and between the two."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rating_strategies import PRICES, TERMS, deliveries
from rating_strategies import tariffs as our_tariffs
from record_oracle import record_oracle
from record_strategies import ZONES, records
from record_strategies import tariffs as ocpi_tariffs

from wattledger.errors import CantPrice, CantSay
from wattledger.rating import Charge, Tax, Terms, decode, encode, price
from wattledger.rating.inputs import price_file
from wattledger.rating.records import price_cdr
from wattledger.sessions.model import Activity, Delivery
from wattledger.tariffs import Tariff, read_tariff, to_body
from wattledger.tariffs.ocpi import read_ocpi
from wattledger.tariffs.ocpi_writer import write_ocpi
from wattledger.tariffs.ocpp21 import read_ocpp21
from wattledger.tariffs.ocpp21_writer import write_ocpp21
from wattledger.wire import exact

SECOND = timedelta(seconds=1)
CREDIT = {"negative_energy": "credit"}


def of(run: Callable[[], Charge]) -> Charge:
    """The charge; a tariff in which nothing applies is no case of these."""
    try:
        charge = run()
    except CantPrice as refusal:
        assume(refusal.code != "no_tariff_component")
        raise
    adds_up(charge)
    return charge


def adds_up(charge: Charge) -> None:
    for sum_, of_line in (("net_minor",) * 2, ("tax_minor",) * 2, ("total_minor",) * 2):
        assert sum(getattr(line, of_line) for line in charge.lines) == getattr(charge, sum_)
    assert charge.net_minor + charge.tax_minor == charge.total_minor
    assert sum(tax.tax_minor for tax in charge.taxes) == charge.tax_minor
    assert sum(amount for _, amount in charge.streams) == charge.net_minor
    for line in charge.lines:
        assert sum(quantity for _, quantity in line.uses) in (line.quantity, 0)
    assert sum(period.energy for period in charge.periods) == charge.energy


def amounts(charge: Charge) -> tuple[Fraction, Fraction]:
    before, after, whole = (int(part) for part in charge.exact)
    return Fraction(before, whole), Fraction(after, whole)


def raw_record(record: dict[str, Any], *tariffs: dict[str, Any]) -> bytes:
    return exact.dump(record | {"tariffs": list(tariffs)})


# --- Records --------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(records(), ocpi_tariffs(), st.sampled_from(ZONES))
def test_the_oracle_prices_a_record_the_same(
    record: dict[str, Any], tariff: dict[str, Any], zone: str
) -> None:
    charge = of(lambda: price_cdr(raw_record(record, tariff), time_zone=zone, policies=CREDIT))
    assert amounts(charge) == record_oracle(record, tariff, zone)


@settings(max_examples=100, deadline=None)
@given(records(), ocpi_tariffs(), st.sampled_from(ZONES))
def test_a_refusal_is_of_a_tariff_that_costs_nothing(
    record: dict[str, Any], tariff: dict[str, Any], zone: str
) -> None:
    """Where nothing in the tariff applies the oracle too finds nothing but a least price."""
    code = None
    try:
        price_cdr(raw_record(record, tariff), time_zone=zone, policies=CREDIT)
    except CantPrice as refusal:
        code = refusal.code
    if code is not None:
        assert code == "no_tariff_component"
        tariff = {key: value for key, value in tariff.items() if key != "min_price"}
        assert record_oracle(record, tariff, zone) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(records(), ocpi_tariffs())
def test_a_record_is_the_same_bytes_every_time(
    record: dict[str, Any], tariff: dict[str, Any]
) -> None:
    raw = raw_record(record, tariff)
    charge = of(lambda: price_cdr(raw, time_zone="Europe/Berlin", policies=CREDIT))
    again, _ = read_ocpi(exact.dump(tariff))
    given_ = price_cdr(raw, [again], time_zone="Europe/Berlin", policies=CREDIT)
    assert encode(msgspec.structs.replace(given_, warnings=charge.warnings)) == encode(charge)
    assert encode(decode(encode(charge))) == encode(charge)
    assert decode(encode(charge)) == charge


@settings(max_examples=150, deadline=None)
@given(records(), ocpi_tariffs(), st.sampled_from(ZONES))
def test_a_tariff_taken_through_another_format_prices_the_same(
    record: dict[str, Any], tariff: dict[str, Any], zone: str
) -> None:
    ours, _ = read_ocpi(exact.dump(tariff))
    raw = raw_record(record)
    charge = of(lambda: price_cdr(raw, [ours], time_zone=zone, policies=CREDIT))
    for write, read in (
        (lambda t: write_ocpi(t, "2.2.1"), read_ocpi),
        (lambda t: write_ocpi(t, "2.3.0"), read_ocpi),
        (lambda t: write_ocpi(t, "2.1.1"), read_ocpi),
        (write_ocpp21, read_ocpp21),
        (to_body, lambda body: (read_tariff(body, "$"), [])),
    ):
        steps = {c.step for element in ours.elements for c in element.components}
        if write is write_ocpp21 and 0 in steps:
            continue  # there it comes back as a step of 1, which rounds no meter but a record
        try:
            back, _ = read(write(ours))
        except CantSay:
            continue
        again = price_cdr(raw, [back], time_zone=zone, policies=CREDIT)
        assert amounts(again) == amounts(charge)


# --- From the meter to a record and back ------------------------------------------------------


def as_record(charge: Charge) -> dict[str, Any]:
    """What we would send of a metered session: its periods are cut already."""
    periods = []
    for period in charge.periods:
        length = (period.to_at - period.from_at) // SECOND
        hours = round(Decimal(length) / 3600, 4)
        dimensions = [("ENERGY", Decimal(period.energy) / 1000)]
        if period.activity == Activity.CHARGING:
            dimensions.append(("TIME", hours))
        elif period.activity == Activity.VEHICLE_IDLE:
            dimensions.append(("PARKING_TIME", hours))
        periods.append(
            {
                "start_date_time": period.from_at,
                "dimensions": [{"type": kind, "volume": volume} for kind, volume in dimensions],
            }
        )
    return {
        "id": charge.session_id, "country_code": "DE", "party_id": "ALL",
        "start_date_time": charge.started_at, "end_date_time": charge.ended_at,
        "currency": charge.currency, "charging_periods": periods,
        "last_updated": "2027-02-01T00:00:00Z",
    }  # fmt: skip


def sayable(tariff: Tariff, **over: Any) -> Tariff:
    """A record has no word for a stop before the end."""
    body = to_body(tariff)
    policies = body["policies"] | {"idle_after_stop": True} | over  # type: ignore[operator]
    return read_tariff(body | {"policies": policies}, "$")


@settings(max_examples=250, deadline=None)
@given(deliveries(), our_tariffs(), TERMS)
def test_the_record_of_a_charge_costs_the_same(
    delivery: Delivery, tariff: Tariff, terms: Terms
) -> None:
    """One engine for the running cost, the bill and the record of it."""
    tariff = sayable(tariff)
    charge = of(lambda: price(delivery, tariff, terms))
    raw = exact.dump(as_record(charge))
    record = price_cdr(raw, [tariff], time_zone=delivery.time_zone, terms=terms)
    assert amounts(record) == amounts(charge)
    assert (record.net_minor, record.total_minor) == (charge.net_minor, charge.total_minor)
    assert (record.energy_wh, record.idle_s) == (charge.energy_wh, charge.idle_s)
    assert [w for w in record.warnings if "runs over" in w] == []


@settings(max_examples=200, deadline=None)
@given(deliveries(), our_tariffs(), TERMS, st.data())
def test_cutting_a_period_anywhere_changes_nothing(
    delivery: Delivery, tariff: Tariff, terms: Terms, data: st.DataObject
) -> None:
    tariff = sayable(tariff)
    record = as_record(of(lambda: price(delivery, tariff, terms)))
    whole = price_cdr(exact.dump(record), [tariff], time_zone=delivery.time_zone, terms=terms)
    periods = record["charging_periods"]
    for _ in range(3):
        i = data.draw(st.integers(0, len(periods) - 1))
        start = periods[i]["start_date_time"]
        end = (periods[i + 1]["start_date_time"] if i + 1 < len(periods)
               else record["end_date_time"])  # fmt: skip
        length = (end - start) // SECOND
        if length < 2:
            continue
        # Inside: at its end another price may begin, and then that would have the energy.
        at = start + data.draw(st.integers(1, length - 1)) * SECOND
        dimensions = {each["type"]: each["volume"] for each in periods[i]["dimensions"]}
        energy = dimensions.pop("ENERGY")
        first = Decimal(data.draw(st.integers(0, int(energy * 1000)))) / 1000
        halves: list[dict[str, Any]] = []
        for from_, to, part in ((start, at, first), (at, end, energy - first)):
            made = [("ENERGY", part)]
            made += [(kind, Decimal((to - from_) // SECOND) / 3600) for kind in dimensions]
            halves.append(
                {
                    "start_date_time": from_,
                    "dimensions": [
                        {"type": kind, "volume": round(volume, 4)} for kind, volume in made
                    ],
                }
            )
        periods[i : i + 1] = halves
    cut = price_cdr(exact.dump(record), [tariff], time_zone=delivery.time_zone, terms=terms)
    assert amounts(cut) == amounts(whole)
    assert (cut.total_minor, cut.energy, cut.idle) == (
        whole.total_minor, whole.energy * cut.quantity_scale // whole.quantity_scale,
        whole.idle * cut.quantity_scale // whole.quantity_scale,
    )  # fmt: skip


# --- Session files ----------------------------------------------------------------------------


def as_file(delivery: Delivery) -> dict[str, Any]:
    states = {
        Activity.CHARGING: "charging",
        Activity.VEHICLE_IDLE: "suspended_ev",
        Activity.CHARGER_PAUSE: "suspended_evse",
    }
    stop = delivery.readings[-1].at
    return {
        "session_id": delivery.session_id,
        "location": {"time_zone": delivery.time_zone},
        "started_at": delivery.started_at,
        "ended_at": delivery.ended_at,
        "readings": [{"at": r.at, "energy_wh": r.register_wh} for r in delivery.readings],
        "states": [
            {"at": c.at, "state": states[c.activity]} for c in delivery.changes if c.at < stop
        ] + [{"at": stop, "state": "finished"}],
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(deliveries(), our_tariffs(), TERMS, st.data())
def test_order_and_duplicates_of_readings_do_not_matter(
    delivery: Delivery, tariff: Tariff, terms: Terms, data: st.DataObject
) -> None:
    file = as_file(delivery)
    charge = of(lambda: price_file(exact.dump(file), [tariff], terms=terms)[0])
    readings = file["readings"]
    more = data.draw(st.lists(st.sampled_from(readings), max_size=4))
    mixed = file | {"readings": data.draw(st.permutations(readings + more))}
    assert encode(price_file(exact.dump(mixed), [tariff], terms=terms)[0]) == encode(charge)
    # In another zone's words, and with registers that say their decimals.
    shown = [
        {"at": r["at"].astimezone(UTC).isoformat(), "energy_wh": Decimal(r["energy_wh"]) * 1}
        for r in readings
    ]
    again = price_file(exact.dump(file | {"readings": shown}), [tariff], terms=terms)[0]
    assert encode(again) == encode(charge)


@settings(max_examples=150, deadline=None)
@given(deliveries(), our_tariffs(), st.integers(1, 10), st.integers(0, 40))
def test_the_least_and_the_most_are_held(
    delivery: Delivery, tariff: Tariff, low: int, more: int
) -> None:
    body = to_body(tariff) | {
        "min_price": {"before_taxes": str(low), "after_taxes": str(low)},
        "max_price": {"before_taxes": str(low + more), "after_taxes": str(low + more)},
        "policies": {"zero_energy": "minimum"},
    }
    held = read_tariff(body, "$")
    charge = of(lambda: price(delivery, held, Terms.simple("VAT", "20")))
    for side in amounts(charge):
        assert low <= side <= low + more


@st.composite
def tiers(draw: st.DrawFn) -> dict[str, Any]:
    """Prices by the kWh, none below zero, and minutes beside them."""
    limits = sorted(draw(st.lists(st.integers(1, 60), max_size=3, unique=True)))
    elements: list[dict[str, Any]] = []
    for limit in [*limits, None]:
        component = {"dimension": "energy", "price": draw(PRICES), "unit": "kWh",
                     "step": draw(st.sampled_from([1, 100, 1000]))}  # fmt: skip
        restrictions = {} if limit is None else {"max_kwh": str(limit)}
        elements.append({"components": [component], "restrictions": restrictions})
    time = {"dimension": "charging_time", "price": draw(PRICES), "unit": "minute"}
    return {
        "id": "t", "currency": draw(st.sampled_from(["EUR", "JPY", "KWD"])),
        "elements": [*elements, {"components": [time]}],
        "policies": {"zero_energy": draw(st.sampled_from(["minimum", "release"]))},
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(deliveries(), tiers(), st.integers(0, 30_000), TERMS)
def test_more_energy_never_costs_less(
    delivery: Delivery, raw: dict[str, Any], more: int, terms: Terms
) -> None:
    tariff = read_tariff(raw, "$")
    last = delivery.readings[-1]
    longer = msgspec.structs.replace(
        delivery,
        readings=(
            *delivery.readings[:-1],
            msgspec.structs.replace(last, register_wh=last.register_wh + more),
        ),
    )
    # With tiers a step begun at a cheap price may be dearer than the dear energy it stands for.
    steps = {element["components"][0].get("step", 1) for element in raw["elements"]}
    if steps == {1} or len(raw["elements"]) == 2:
        assert amounts(price(longer, tariff, terms)) >= amounts(price(delivery, tariff, terms))
    assert price(longer, tariff, terms).energy_wh == delivery.energy_wh + more


@settings(max_examples=150, deadline=None)
@given(
    deliveries(),
    st.integers(0, 99_999),
    st.sampled_from(["0", "5", "7.75", "19", "20", "25"]),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_tax_put_in_and_taken_out(
    delivery: Delivery, price_: int, percent: str, currency: str
) -> None:
    """A price without its tax, and the same with it: the same to the smallest unit."""
    without = Decimal(price_).scaleb(-4)
    within = without * (1 + Decimal(percent) / 100)

    def tariff(amount: Decimal, included: str) -> Tariff:
        component = {"dimension": "energy", "price": f"{amount:f}", "unit": "kWh"}
        return read_tariff(
            {"id": "t", "currency": currency, "elements": [{"components": [component]}],
             "tax_included": included}, "$",
        )  # fmt: skip

    terms = Terms(taxes=(Tax("VAT", percent),))
    one = price(delivery, tariff(without, "no"), terms)
    other = price(delivery, tariff(within, "yes"), terms)
    assert amounts(one) == amounts(other)
    assert (one.net_minor, one.tax_minor, one.total_minor) == (
        other.net_minor, other.tax_minor, other.total_minor,
    )  # fmt: skip
    # Taken out of the rounded total the tax is the same within one of the smallest unit.
    rate = Fraction(percent) / 100
    assert abs(other.total_minor * rate / (1 + rate) - one.tax_minor) <= 1


@settings(max_examples=150, deadline=None)
@given(deliveries(), our_tariffs(), TERMS)
def test_periods_are_the_session_without_a_gap(
    delivery: Delivery, tariff: Tariff, terms: Terms
) -> None:
    charge = of(lambda: price(delivery, tariff, terms))
    assert charge.periods[0].from_at == delivery.started_at
    assert charge.periods[-1].to_at == delivery.ended_at
    for one, other in pairwise(charge.periods):
        assert (one.to_at, one.to_register_wh) == (other.from_at, other.from_register_wh)
