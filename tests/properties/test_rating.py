"""What holds for every charge, and that an independent computation gives the same one."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rating_oracle import oracle, rounded
from rating_strategies import CREDITS, MINUTE, PRICES, SIMPLE, TERMS, deliveries, tariffs

from wattledger.errors import CantPrice
from wattledger.money import exponent
from wattledger.rating import (
    Charge,
    LineKind,
    Source,
    Terms,
    decode,
    driver_text,
    encode,
    evidence,
    price,
    why,
)
from wattledger.sessions.model import Delivery, Reading
from wattledger.tariffs import Tariff, read_tariff, to_body

SECOND = timedelta(seconds=1)


def priced(delivery: Delivery, tariff: Tariff, terms: Terms) -> Charge:
    try:
        return price(delivery, tariff, terms)
    except CantPrice as refusal:
        # Whatever else is refused here is a fault: these deliveries are fit to be priced.
        assume(refusal.code != "no_tariff_component")
        raise


# --- The properties -----------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(deliveries(), tariffs(CREDITS), TERMS)
def test_the_oracle_gives_the_same_total(delivery: Delivery, tariff: Tariff, terms: Terms) -> None:
    charge = priced(delivery, tariff, terms)
    answer = oracle(delivery, tariff, terms)
    policies, scale = tariff.policies, 10 ** exponent(tariff.currency)

    def whole(value: Fraction) -> int:
        return rounded(value, policies.rounding, policies.rounding_increment)

    assert charge.total_minor == whole(answer.after)
    if policies.rounding_closes == "taxes":
        assert charge.net_minor == whole(answer.before)
    else:
        assert charge.tax_minor == whole(answer.after - answer.before)
    for shown, exact in (
        (charge.exact_net, answer.before),
        (charge.exact_tax, answer.after - answer.before),
        (charge.exact_total, answer.after),
    ):
        assert abs(Fraction(shown) * scale - exact) <= Fraction(1, 10**9)


@settings(max_examples=150, deadline=None)
@given(deliveries(), tariffs(), TERMS)
def test_each_tax_is_its_share(delivery: Delivery, tariff: Tariff, terms: Terms) -> None:
    charge = priced(delivery, tariff, terms)
    answer = oracle(delivery, tariff, terms)
    taxes = {(tax.name, tax.percent or ""): tax for tax in charge.taxes}
    assert {key for key, exact in answer.taxes.items() if exact} <= set(taxes)
    for key, tax in taxes.items():
        exact = answer.taxes.get(key, Fraction(0))
        if exact or not any(answer.taxes.values()):
            continue
        assert tax.tax_minor == 0, "what is a tax of nothing takes no part in rounding"
    if any(answer.taxes.values()):
        # Each is rounded, and has its part in what the three sums of the charge were rounded by.
        off = [abs(tax.tax_minor - answer.taxes.get(key, 0)) for key, tax in taxes.items()]
        assert max(off) < 3 * tariff.policies.rounding_increment


@settings(max_examples=300, deadline=None)
@given(deliveries(), tariffs(), TERMS, st.sampled_from(["total", "line", "tax_rate"]))
def test_everything_adds_up(delivery: Delivery, tariff: Tariff, terms: Terms, level: str) -> None:
    body = to_body(tariff)
    body["policies"] = {**body["policies"], "rounding_level": level}  # type: ignore[dict-item]
    charge = priced(delivery, read_tariff(body, "$"), terms)
    assert sum(line.net_minor for line in charge.lines) == charge.net_minor
    assert sum(line.tax_minor for line in charge.lines) == charge.tax_minor
    assert sum(line.total_minor for line in charge.lines) == charge.total_minor
    assert all(line.net_minor + line.tax_minor == line.total_minor for line in charge.lines)
    assert sum(amount for _, amount in charge.streams) == charge.net_minor
    assert sum(tax.tax_minor for tax in charge.taxes) == charge.tax_minor
    assert charge.net_minor + charge.tax_minor == charge.total_minor
    assert charge.energy_wh == delivery.energy_wh
    used = [line for line in charge.lines if line.kind is not LineKind.EXCISE]
    of_energy = [line for line in used if line.quantity_unit == "Wh"]
    assert sum(line.quantity for line in of_energy) == charge.energy_wh
    whole = (delivery.ended_at - delivery.started_at) // SECOND
    assert charge.charging_s + charge.idle_s + charge.pause_s == whole


@settings(max_examples=150, deadline=None)
@given(deliveries(), tariffs(), SIMPLE)
def test_nothing_is_below_zero(delivery: Delivery, tariff: Tariff, terms: Terms) -> None:
    """Without a price below zero, an excise in prices that have it, or limits that disagree."""
    charge = priced(delivery, tariff, terms)
    assert all(amount >= 0 for _, amount in charge.streams)
    assert charge.net_minor >= 0
    assert charge.tax_minor >= 0


@settings(max_examples=150, deadline=None)
@given(deliveries(), tariffs(), SIMPLE)
def test_the_evidence_accounts_for_each_quantity(
    delivery: Delivery, tariff: Tariff, terms: Terms
) -> None:
    charge = priced(delivery, tariff, terms)
    by_energy = any(e.restrictions.min_kwh or e.restrictions.max_kwh for e in tariff.elements)
    for line in charge.lines:
        parts = evidence(charge, line)
        assert sum(part.quantity for part in parts) == (line.quantity if line.uses else 0)
        for part in parts:
            assert part.error_wh is not None
            assert (part.source is Source.INTERPOLATED) == (part.error_wh > 0)
            if part.source is Source.CLOCK:
                once = line.kind is LineKind.FLAT
                assert once or (part.to_at - part.from_at) // SECOND == part.quantity
                continue
            assert part.from_register_wh is not None
            assert part.to_register_wh is not None
            assert part.to_register_wh - part.from_register_wh == part.quantity
            most = unread_wh(delivery, part.from_at, part.from_register_wh)
            most += unread_wh(delivery, part.to_at, part.to_register_wh)
            # A limit in kWh is reached exactly, whenever that was.
            assert part.error_wh <= most if by_energy else part.error_wh == most


def unread_wh(delivery: Delivery, at: datetime, register_wh: int) -> int:
    """How far a register can be off: it was somewhere from the reading before to the one after,
    or in the second of several."""
    before = max(r.register_wh for r in delivery.readings if r.at <= at)
    after = min((r.register_wh for r in delivery.readings if r.at >= at), default=before)
    return max(register_wh - before, after - register_wh, 0)


@settings(max_examples=150, deadline=None)
@given(deliveries(), tariffs(CREDITS), TERMS)
def test_every_line_says_why(delivery: Delivery, tariff: Tariff, terms: Terms) -> None:
    charge = priced(delivery, tariff, terms)
    for line in charge.lines:
        said = why(charge, line, tariff)
        assert said
        assert all(sentence[0].isupper() or sentence[0] in "-0123456789" for sentence in said)
        assert all(sentence.endswith(".") for sentence in said)
    text = driver_text(charge, tariff, reasons=True)
    assert all(line.text in text for line in charge.lines)


@settings(max_examples=100, deadline=None)
@given(deliveries(), tariffs(), TERMS)
def test_the_same_input_is_the_same_bytes(delivery: Delivery, tariff: Tariff, terms: Terms) -> None:
    raw = encode(priced(delivery, tariff, terms))
    again = read_tariff(to_body(tariff), "$")
    assert again == tariff
    copy = msgspec.json.decode(msgspec.json.encode(delivery), type=Delivery)
    assert encode(price(copy, again, terms)) == raw
    assert encode(decode(raw)) == raw


@settings(max_examples=150, deadline=None)
@given(deliveries(), tariffs(), TERMS, st.data())
def test_a_reading_on_the_line_between_two_changes_nothing(
    delivery: Delivery, tariff: Tariff, terms: Terms, data: st.DataObject
) -> None:
    # Stretch a gap so that every second of it has a whole register: n Wh a second.
    first = delivery.readings[0]
    seconds = (delivery.readings[-1].at - first.at) // SECOND
    wh = data.draw(st.integers(1, 40))
    middle = data.draw(st.integers(0, seconds))

    def reading(second: int) -> Reading:
        return Reading(first.at + timedelta(seconds=second), first.register_wh + wh * second)

    two = msgspec.structs.replace(delivery, readings=(reading(0), reading(seconds)))
    three = msgspec.structs.replace(
        delivery, readings=(reading(0), reading(middle), reading(seconds))
    )
    assert priced(two, tariff, terms).exact_total == priced(three, tariff, terms).exact_total


@settings(max_examples=150, deadline=None)
@given(
    delivery=deliveries(),
    per_minute=PRICES,
    step=st.sampled_from([1, 60, 900]),
    way=st.sampled_from(["up", "down"]),
    more=st.integers(0, 300),
    terms=TERMS,
)
def test_more_idle_never_costs_less(
    *, delivery: Delivery, per_minute: str, step: int, way: str, more: int, terms: Terms
) -> None:
    idle = {"dimension": "idle_time", "price": per_minute, "unit": "minute", "step": step}
    tariff = read_tariff(
        {
            "id": "t",
            "currency": "USD",
            "elements": [
                {"components": [idle], "restrictions": {"min_idle_s": 600}},
                {"components": [{"dimension": "energy", "price": "0.30", "unit": "kWh"}]},
            ],
            "caps": [{"dimension": "idle_time", "amount": "12.00"}],
            "policies": {"step_rounding": way},
        },
        "$",
    )
    longer = msgspec.structs.replace(delivery, ended_at=delivery.ended_at + MINUTE * more)
    before, after = price(delivery, tariff, terms), price(longer, tariff, terms)
    assert after.total_minor >= before.total_minor
    idle_net = dict(after.streams)["idle"]
    assert idle_net <= 1200 + 1  # the cap, and the cent that the streams share
