"""Charging time, idle with grace and cap, charger pauses, flat fees, steps."""

from __future__ import annotations

from rating_samples import (
    CHARGING,
    IDLE,
    NO_TAX,
    PAUSE,
    charging,
    delivery,
    element,
    energy,
    evidence,
    flat,
    idle,
    line,
    nets,
    tariff,
)

from wattledger.rating import Source, Terms, price, why

GRACE = (element("idle", idle("0.20", step=60), min_idle_s=600),)
ENERGY = element("all day", energy("0.30"))


def test_idle_after_the_grace_up_to_the_cap() -> None:
    # 1 h of charging, 10 kWh x 0.30 = 3.00; 3 h idle less 10 min of grace are 170 min x 0.20 =
    # 34.00, and 12.00 at most.
    session = delivery(
        ("2026-07-01 10:00", 0),
        ("2026-07-01 11:00", 10000),
        changes=(("2026-07-01 11:00", IDLE),),
        ended="2026-07-01 14:00",
    )
    capped = tariff(ENERGY, *GRACE, caps={"idle_time": "12.00"})
    charge = price(session, capped, NO_TAX)
    assert nets(charge) == {
        "Energy, all day": 300,
        "Idle, grace period": 0,
        "Idle": 3400,
        "Idle fee cap": -2200,
    }
    assert charge.net_minor == 1500
    assert charge.streams == (("energy", 300), ("time", 0), ("idle", 1200), ("fee", 0))
    assert line(charge, "Idle, grace period").quantity == 600
    assert line(charge, "Idle").quantity == 170 * 60
    assert evidence(charge, "Idle")[0].source is Source.CLOCK
    (said,) = why(charge, line(charge, "Idle fee cap"), capped)
    assert "12.00 USD at most before tax; 34.00 USD were due" in said
    assert (charge.charging_s, charge.idle_s, charge.pause_s) == (3600, 3 * 3600, 0)


def test_a_cap_that_is_not_reached_is_not_on_the_bill() -> None:
    session = delivery(
        ("2026-07-01 10:00", 0),
        ("2026-07-01 11:00", 10000),
        changes=(("2026-07-01 11:00", IDLE),),
        ended="2026-07-01 12:10",
    )
    # 70 min less 10 of grace: 60 x 0.20 = 12.00, the cap to the cent
    charge = price(session, tariff(ENERGY, *GRACE, caps={"idle_time": "12.00"}), NO_TAX)
    assert nets(charge) == {"Energy, all day": 300, "Idle, grace period": 0, "Idle": 1200}


def test_a_charger_pause_is_neither_idle_nor_charging_time() -> None:
    both = tariff(ENERGY, element("", charging("0.05")), element("", idle("0.20")))
    session = delivery(
        ("2026-07-01 10:00", 0),
        ("2026-07-01 12:00", 10000),
        changes=(
            ("2026-07-01 10:30", PAUSE),
            ("2026-07-01 11:30", CHARGING),
            ("2026-07-01 11:50", IDLE),
        ),
    )
    charge = price(session, both, NO_TAX)
    # 30 + 20 min charging x 0.05 = 2.50; 10 min idle x 0.20 = 2.00; energy 10 x 0.30 = 3.00
    # even what flowed in the pause.
    assert nets(charge) == {
        "Energy, all day": 300,
        "Charging time": 250,
        "Idle": 200,
        "Charger pause": 0,
    }
    assert charge.pause_s == 3600
    assert line(charge, "Charger pause").quantity == 3600


def test_the_grace_begins_anew_with_each_idle_stretch() -> None:
    session = delivery(
        ("2026-07-01 10:00", 0),
        ("2026-07-01 11:00", 10000),
        changes=(
            ("2026-07-01 10:10", IDLE),
            ("2026-07-01 10:22", CHARGING),
            ("2026-07-01 10:40", IDLE),
            ("2026-07-01 10:45", IDLE),
        ),
    )
    # 12 min and 20 min of idle: 2 and 10 after the grace, x 0.20 = 2.40
    charge = price(session, tariff(ENERGY, *GRACE), NO_TAX)
    assert line(charge, "Idle").net_minor == 240
    assert [part.quantity for part in evidence(charge, "Idle")] == [120, 600]
    assert line(charge, "Idle, grace period").quantity == 1200


def test_a_car_that_stays_after_the_stop_is_idle_without_being_told() -> None:
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10000), ended="2026-07-01 11:30"
    )
    charge = price(session, tariff(ENERGY, *GRACE), NO_TAX)
    assert (charge.charging_s, charge.idle_s) == (3600, 1800)
    assert line(charge, "Idle").net_minor == 400  # 20 min x 0.20


def test_idle_after_the_stop_can_be_free() -> None:
    session = delivery(
        ("2026-07-01 10:00", 0),
        ("2026-07-01 11:00", 10000),
        changes=(("2026-07-01 10:45", IDLE),),
        ended="2026-07-01 11:30",
    )
    charge = price(session, tariff(ENERGY, *GRACE, idle_after_stop=False), NO_TAX)
    # 10:45 to 11:00 less 10 min of grace: 5 min x 0.20
    assert line(charge, "Idle").net_minor == 100
    assert line(charge, "Idle after the stop, not billed").quantity == 1800


def test_steps_up_and_down_on_minutes() -> None:
    session = delivery(("2026-07-01 10:00:00", 0), ("2026-07-01 10:12:20", 1000))
    by_minutes = tariff(element("", charging("0.10", step=60)))
    up = price(session, by_minutes, NO_TAX)
    # 740 s are 13 minutes begun: 1.30
    assert nets(up) == {"Charging time": 130, "Energy, free": 0}
    assert line(up, "Charging time").billed_quantity == 780
    reasons = why(up, line(up, "Charging time"), by_minutes)
    assert "740 s are rounded up to whole steps: 40 s added" in reasons[1]
    down = price(
        session, tariff(element("", charging("0.10", step=60)), step_rounding="down"), NO_TAX
    )
    # 12 whole minutes: 1.20
    assert nets(down)["Charging time"] == 120
    exact = price(session, tariff(element("", charging("0.10"))), NO_TAX)
    # 12 min 20 s: 1.2333
    assert exact.exact_total == "1.233333333333"


def test_a_step_down_reaches_back_over_the_last_element() -> None:
    hourly = tariff(
        element("evening", charging("6.00", "hour", step=3600), start_time="18:00"),
        element("day", charging("3.00", "hour", step=3600)),
        step_rounding="down",
    )
    # 16:30 to 18:10 is 100 min, 1 h billed: the 10 min of the evening fall away and 30 of the day.
    charge = price(delivery(("2026-07-01 16:30", 0), ("2026-07-01 18:10", 9000)), hourly, NO_TAX)
    assert line(charge, "Charging time, day").billed_quantity == 3600
    assert line(charge, "Charging time, evening").billed_quantity == 0
    assert charge.net_minor == 300


STEPPED = (
    element("", charging("0.10", step=900)),
    element("", idle("0.20", step=300)),
)


def test_charging_and_idle_time_share_one_rounding() -> None:
    session = delivery(
        ("2026-07-01 10:00", 0),
        ("2026-07-01 10:19", 1000),
        changes=(("2026-07-01 10:12", IDLE),),
    )
    charge = price(session, tariff(*STEPPED), NO_TAX)
    # 12 min of charging stay 12: 1.20. 7 min idle are two steps of 5: 2.00.
    assert line(charge, "Charging time").billed_quantity == 720
    assert line(charge, "Idle").billed_quantity == 600
    assert nets(charge) == {"Energy, free": 0, "Charging time": 120, "Idle": 200}
    # Without idle time, or where it is not priced, charging is rounded: 12 min to 15, 1.50.
    alone = delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:12", 1000))
    assert line(price(alone, tariff(*STEPPED), NO_TAX), "Charging time").net_minor == 150
    unpriced = tariff(STEPPED[0], element("", idle("0.20", step=300), min_idle_s=600))
    assert line(price(session, unpriced, NO_TAX), "Charging time").net_minor == 150


def test_by_policy_the_time_that_was_priced_last_is_rounded() -> None:
    session = delivery(
        ("2026-07-01 10:00", 0),
        ("2026-07-01 10:19", 1000),
        changes=(("2026-07-01 10:05", IDLE), ("2026-07-01 10:12", CHARGING)),
    )
    # 5 + 7 min of charging, 7 min idle between them: idle takes it, 1.20 and 2.00 ...
    assert price(session, tariff(*STEPPED), NO_TAX).net_minor == 320
    # ... or charging, 15 min at 0.10 and 7 at 0.20: 1.50 and 1.40.
    last = price(session, tariff(*STEPPED, step_time="last"), NO_TAX)
    assert {one.text: one.net_minor for one in last.lines if one.net_minor} == {
        "Charging time": 150,
        "Idle": 140,
    }


def test_a_flat_fee_of_each_element_by_policy() -> None:
    fees = (
        element("start", flat("0.50"), max_duration_s=3600),
        element("long stay", flat("3.00"), min_duration_s=3600),
        ENERGY,
    )
    session = delivery(("2026-07-01 10:00", 0), ("2026-07-01 12:00", 1000))
    # Once a session: the first that is active, and no other. Once an element: 0.50 and 3.00.
    assert price(session, tariff(*fees), NO_TAX).net_minor == 50 + 30
    each = price(session, tariff(*fees, flat="once_an_element"), NO_TAX)
    assert each.net_minor == 50 + 300 + 30


def test_hours_are_priced_exactly() -> None:
    # OCPI tariff_4: 114 minutes at 1.25 an hour are 2.375
    charge = price(
        delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:54", 1)),
        tariff(element("", charging("1.25", "hour"))),
        NO_TAX,
    )
    assert charge.exact_total == "2.375000000000"
    assert charge.total_minor == 238


def test_a_flat_fee_once_when_it_is_first_active() -> None:
    fees = tariff(
        element("start", flat("0.50"), start_time="08:00", end_time="20:00"),
        element("night", flat("1.00")),
        ENERGY,
    )
    day = delivery(("2026-07-01 19:00", 0), ("2026-07-01 21:00", 1000))
    assert nets(price(day, fees, NO_TAX)) == {"Session fee, start": 50, "Energy, all day": 30}
    late = tariff(element("", flat("2.00"), min_kwh="0.5"), ENERGY)
    assert nets(price(day, late, NO_TAX)) == {"Session fee": 200, "Energy, all day": 30}


def test_dimensions_are_selected_each_on_its_own() -> None:
    # The first element has energy only; charging time comes from the second at the same moment.
    two = tariff(
        element("a", energy("0.30"), start_time="10:00", end_time="11:00"),
        element("b", energy("0.10"), charging("0.01")),
    )
    charge = price(delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:30", 1000)), two, NO_TAX)
    assert nets(charge) == {"Energy, a": 30, "Charging time, b": 30}


def test_seconds_are_those_an_instant_falls_in() -> None:
    session = delivery(("2026-07-01 10:00:00.900", 0), ("2026-07-01 10:01:00.100", 1000))
    charge = price(session, tariff(element("", charging("0.60"))), NO_TAX)
    assert charge.charging_s == 60
    assert charge.net_minor == 60


def test_a_discount_comes_before_the_cap() -> None:
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10000), ended="2026-07-01 12:10"
    )
    member = Terms.simple("Sales tax", "0", "10", "Member")
    capped = tariff(ENERGY, *GRACE, caps={"idle_time": "12.00"})
    charge = price(session, capped, member)
    # 3.00 and 12.00 less 10 %: below the cap
    assert nets(charge) == {"Energy, all day": 270, "Idle, grace period": 0, "Idle": 1080}
    reasons = why(charge, line(charge, "Idle"), capped)
    assert "A discount of 10 % (Member) is taken off." in reasons
    assert (charge.terms.plan, line(charge, "Idle").discount_percent) == ("Member", "10")
