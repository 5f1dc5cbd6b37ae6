"""What a dirty OCPP 1.6 charge point says, and what becomes of it: rules R1 to R15 (docs/ocpp.md).

At 0.30 a kWh without tax, 1,000 Wh are 30 cents.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from rig.network import BLOCKED, CARD, at
from rig.points2 import V16, Point16, sample16
from rig.signed import METER_KEY, in_base64, record
from rig.story import (
    ENDS_AT,
    TOKEN,
    TURNCOAT,
    Day,
    Found,
    bill,
    planned,
    sites,
    story,
    told,
)  # fmt: skip

__all__ = ["ENDS_AT", "planned", "told"]
change = sites
Script = AsyncGenerator[None, Found]
KWH = {"measurand": "Energy.Active.Import.Register", "unit": "kWh"}
END, BEGIN = {"context": "Transaction.End"}, {"context": "Transaction.Begin"}


def _kinds(found: Found, kind: str) -> int:
    return sum(fact["kind"] == kind for fact in found.session["facts"])


# R1: kept as it came, and answered.


@story(V16)
async def test_r1_what_cannot_be_read_is_kept_and_answered(day: Day, p: Point16) -> Script:
    torn, wrong, strange, noise = (
        '[2,"x1","MeterValues",{"connectorId":1,', '[2,"x2","StartTransaction",{"connectorId":1}]',
        '[2,"x3","Foo",{}]', "hello",
    )  # fmt: skip
    for text, message_id in ((torn, "x1"), (wrong, "x2"), (strange, "x3")):
        assert (await p.raw(text))[:2] == [4, message_id]
    await p.raw(noise, answered=False)
    number = await p.start(TOKEN, at("08:00"), 0)
    # One value is none: the others of the message count, and it is answered.
    await p.meter(number, at("08:00"), sample16("none"), sample16("NaN", phase="L1"), 100)
    await day.until(at("09:00"))
    await p.stop(number, at("09:00"), 10_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    came = [frame["raw"] for frame in found.more["frame"] if frame["direction"] == "in"]
    assert {torn, wrong, strange, noise} <= set(came)
    assert {"frame.malformed", "frame.invalid", "sample.invalid"} <= found.codes


# R2: what is repeated counts once.


@story(V16)
async def test_r2_what_is_repeated_counts_once(day: Day, p: Point16) -> Script:
    """With the same message id or a new one; the token in whichever case."""
    number = await p.start(TOKEN, at("08:00"), 1_000, message_id="m1")
    assert await p.start(TOKEN, at("08:00"), 1_000, message_id="m1") == number
    assert await p.start(TOKEN.lower(), at("08:00"), 1_000) == number
    await day.until(at("09:00"))
    for message_id in ("m2", "m2", "m3"):
        await p.meter(number, at("08:30"), 6_000, message_id=message_id)
    for message_id in ("m4", "m4", "m5"):
        await p.stop(number, at("09:00"), 11_000, message_id=message_id)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert (_kinds(found, "start"), _kinds(found, "meter"), _kinds(found, "stop")) == (1, 1, 1)
    assert found.codes == set()


@story(V16)
async def test_r2_of_two_different_stops_the_first_is_kept(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.stop(number, at("09:00"), 11_000)
    await p.stop(number, at("09:00"), 12_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"stop.differs"}


# R4: transaction ids.


@story(V16, points=2)
async def test_r4_ids_are_positive_unique_and_of_their_charge_point(
    day: Day, p: Point16, q: Point16
) -> Script:
    ours = [await p.start(TOKEN, at("08:00"), 0, connector) for connector in (1, 2)]
    theirs = await q.start(TOKEN, at("08:00"), 0)
    numbers = {*ours, theirs}
    assert len(numbers) == 3
    assert all(0 < number < 2**31 for number in numbers)
    await day.until(at("09:00"))
    # Nobody else's: neither the reading nor the stop is of our session.
    await q.meter(ours[0], at("08:30"), 9_999)
    await q.stop(ours[0], at("08:30"), 9_999)
    for number in ours:
        await p.stop(number, at("09:00"), 1_000)
    found = yield
    assert [bill(session) for session in found.sessions] == [("billed", 1_000, 30)] * 2
    assert found.codes == set()
    every = [row["transaction_id"] for row in found.more["session"]]
    assert len(set(every)) == len(every)


@story(V16)
async def test_r4_without_an_id_it_is_the_only_one_that_can_be_meant(
    day: Day, p: Point16
) -> Script:
    """1.6 errata 3.18: -1 where the start was never confirmed; others say 0, or nothing."""
    await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.meter(-1, at("08:15"), 3_000)
    await p.meter(0, at("08:30"), 6_000)
    await p.meter(None, at("08:45"), 8_000)
    await p.stop(-1, at("09:00"), 11_000, token=TOKEN.lower())
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    # The stop is taken as a last reading: one that names the session may still come.
    assert _kinds(found, "meter") == 4
    assert found.codes == {"transaction.matched"}


@story(V16)
async def test_r4_where_two_can_be_meant_neither_is(day: Day, p: Point16) -> Script:
    first = await p.start(TOKEN, at("08:00"), 1_000)
    second = await p.start(TOKEN, at("08:00"), 2_000, connector=2)
    await day.until(at("09:00"))
    await p.stop(-7, at("08:30"), 5_000, token=TOKEN)
    await p.stop(first, at("09:00"), 11_000)
    await p.stop(second, at("09:00"), 12_000)
    found = yield
    assert [bill(session) for session in found.sessions] == [("billed", 10_000, 300)] * 2
    assert found.codes == {"transaction.unknown"}


@story(V16)
async def test_r4_an_id_that_nobody_gave_is_answered_and_shown(day: Day, p: Point16) -> Script:
    """2^31-1 fits; what is larger than any id of ours is no reason not to answer either."""
    for number in (999_999, 2**31 - 1):
        await p.meter(number, at("08:00"), 5_000)
        await p.stop(number, at("08:00"), 5_000)
    answer = await p.raw(
        '[2,"big","StopTransaction",{"transactionId":9223372036854775807,"meterStop":1,'
        '"timestamp":"2026-11-02T08:00:00Z"}]'
    )
    assert answer[1] == "big"
    found = yield
    assert found.sessions == []
    assert "transaction.unknown" in found.codes


# R5: which of the registers at the end counts.


@story(V16)
async def test_r5_the_sample_at_the_end_goes_before_meter_stop(day: Day, p: Point16) -> Script:
    """An integer meterStop beside 0.43656 kWh: 437 Wh, and one Wh apart is no matter."""
    number = await p.start(TOKEN, at("08:00"), 0)
    await day.until(at("08:30"))
    await p.stop(number, at("08:30"), 436, (at("08:30"), [sample16("0.43656", **KWH, **END)]))
    found = yield
    assert found.session["documents"][0]["energy_wh"] == 437
    assert found.codes == set()


@story(V16)
async def test_r5_what_disagrees_is_shown(day: Day, p: Point16) -> Script:
    """More than 10 Wh and more than a thousandth apart: 50 Wh of 10,000."""
    number = await p.start(TOKEN, at("08:00"), 0)
    await day.until(at("09:00"))
    await p.stop(number, at("09:00"), 10_050, (at("09:00"), [sample16("10000", **END)]))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"meter.disagrees"}
    # Of 10,050 that the registers say, 50 are explained by this.
    assert found.session["explained_wh"] == 50


@story(V16)
async def test_r5_zero_beside_a_register_is_held(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.meter(number, at("08:30"), 6_000)
    await p.stop(number, at("09:00"), 11_000, (at("09:00"), [sample16("0", **END)]))
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"register.doubtful"}


@story(V16)
async def test_r5_a_thousandfold_is_another_unit_and_held(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 0)
    await day.until(at("09:00"))
    await p.stop(number, at("09:00"), 10, (at("09:00"), [sample16("10000", **END)]))
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"unit.doubtful"}


@story(V16)
async def test_r5_without_a_register_at_the_stop_the_meter_goes_before_the_last_sample(
    day: Day, p: Point16
) -> Script:
    """meterStop counts before a sample of the same moment without a context."""
    number = await p.start(TOKEN, at("08:00"), 0)
    await day.until(at("09:00"))
    await p.meter(number, at("09:00"), 9_990)
    await p.stop(number, at("09:00"), 10_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)


# R6: units.


@story(V16)
async def test_r6_kwh_that_are_called_wh_are_held(day: Day, p: Point16) -> Script:
    """20 in an hour at 22 kW, of which 22 are a thousandth."""
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.stop(number, at("09:00"), 1_020)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"unit.doubtful"}


@story(V16)
async def test_r6_wh_that_are_called_kwh_are_held(day: Day, p: Point16) -> Script:
    """300 kWh in half a minute."""
    number = await p.start(TOKEN, at("08:00"), 0)
    await p.stop(number, at("08:00:30"), 300_050)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"energy.implausible"}


@story(V16)
async def test_r6_a_sample_in_the_wrong_unit_between_is_left_out(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 0)
    await day.until(at("09:00"))
    await p.meter(number, at("08:30"), sample16("5000", **KWH))
    await p.stop(number, at("09:00"), 10_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"register.spike"}


@story(V16, meter_unit="kWh")
async def test_r6_what_is_configured_of_the_unit_counts(day: Day, p: Point16) -> Script:
    """Samples that call kWh Wh; meterStart and meterStop are right."""
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.meter(number, at("08:30"), sample16("6.5", "Wh"))
    await p.stop(number, at("09:00"), 11_000, (at("09:00"), [sample16("11.000", "Wh", **END)]))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(V16)
async def test_r6_units_may_be_mixed_where_they_are_said(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.meter(number, at("08:30"), sample16("6.25", "kWh"))
    await p.stop(number, at("09:00"), 11_000, (at("09:00"), [sample16("11000.4", "Wh", **END)]))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert [f["register_wh"] for f in found.session["facts"]] == [1_000, 6_250, 11_000, 11_000]


# R7: registers that fall.


@story(V16)
async def test_r7_a_dip_is_left_out(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    for minute, wh in (("08:15", 3_500), ("08:30", 12), ("08:45", 8_500)):
        await p.meter(number, at(minute), wh)
    await p.stop(number, at("09:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"register.dip"}


@story(V16)
async def test_r7_a_meter_that_begins_at_zero_in_between(day: Day, p: Point16) -> Script:
    """4,900 before it, 3,000 after it: 7,900 Wh, 237 cents."""
    number = await p.start(TOKEN, at("08:00"), 100)
    await day.until(at("09:00"))
    await p.meter(number, at("08:30"), 5_000)
    await p.meter(number, at("08:45"), 1_200)
    await p.stop(number, at("09:00"), 3_000)
    found = yield
    assert found.bill == ("billed", 7_900, 237)
    assert found.codes == {"register.reset"}
    # The registers said 3,000 - 100: 5,000 less than is billed.
    assert found.session["explained_wh"] == -5_000


@story(V16)
async def test_r7_a_register_that_passes_its_last_digit(day: Day, p: Point16) -> Script:
    """Six digits of Wh: 999,000, 999,800, and 1,200 after 1,000,000."""
    number = await p.start(TOKEN, at("08:00"), 999_000)
    await day.until(at("09:00"))
    await p.meter(number, at("08:30"), 999_800)
    await p.stop(number, at("09:00"), 1_200)
    found = yield
    assert found.bill == ("billed", 2_200, 66)
    assert found.codes == {"register.rollover"}


@story(V16)
async def test_r7_a_stop_of_zero_is_held(day: Day, p: Point16) -> Script:
    """That is no reset: such a charge point sends no register at the stop."""
    number = await p.start(TOKEN, at("08:00"), 5_000)
    await day.until(at("09:00"))
    await p.meter(number, at("08:30"), 9_000)
    await p.stop(number, at("09:00"), 0)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"register.fell"}


@story(V16)
async def test_r7_a_stop_below_the_start_is_held(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 5_000)
    await day.until(at("09:00"))
    await p.meter(number, at("08:30"), 9_000)
    await p.stop(number, at("09:00"), 4_000)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"register.fell"}


# R8: the register between sessions.


@story(V16)
async def test_r8_energy_between_two_sessions_is_shown(day: Day, p: Point16) -> Script:
    for hour, start_wh, stop_wh in (
        ("08", 1_000, 5_000),
        ("09", 5_500, 10_000),
        ("10", 9_000, 9_500),
    ):
        await day.until(at(f"{hour}:00"))
        number = await p.start(TOKEN, at(f"{hour}:00"), start_wh)
        await day.until(at(f"{hour}:30"))
        await p.stop(number, at(f"{hour}:30"), stop_wh)
    found = yield
    first, second, third = found.sessions
    assert [bill(s)[1] for s in found.sessions] == [4_000, 4_500, 500]
    assert first["anomalies"] == []
    assert [(a["code"], a["detail"]["energy_wh"]) for a in second["anomalies"]] == [
        ("register.moved", 500)
    ]
    assert [(a["code"], a["detail"]["energy_wh"]) for a in third["anomalies"]] == [
        ("register.overlap", -1_000)
    ]


@story(V16)
async def test_r8_a_meter_that_begins_anew_with_each_session_is_not_asked(
    day: Day, p: Point16
) -> Script:
    for hour in ("08", "09"):
        await day.until(at(f"{hour}:00"))
        number = await p.start(TOKEN, at(f"{hour}:00"), 0)
        await day.until(at(f"{hour}:30"))
        await p.stop(number, at(f"{hour}:30"), 2_000)
    found = yield
    assert [bill(s) for s in found.sessions] == [("billed", 2_000, 60)] * 2
    assert found.codes == set()


# R9: clocks.


@story(V16)
async def test_r9_a_clock_that_was_never_set(day: Day, p: Point16) -> Script:
    """1970: the time of receipt counts, for the start, the samples and the stop."""
    await day.until(at("08:30"))
    number = await p.start(TOKEN, at("08:30").replace(year=1970), 1_000)
    await day.until(at("09:00"))
    await p.meter(number, at("09:00").replace(year=1970), 6_000)
    await day.until(at("09:30"))
    await p.stop(number, at("09:30").replace(year=1970), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert (found.session["started_at"], found.session["stopped_at"]) == (at("08:30"), at("09:30"))
    assert found.codes == {"clock.wrong"}


@story(V16)
async def test_r9_a_clock_that_runs_ahead(day: Day, p: Point16) -> Script:
    await day.until(at("08:30"))
    number = await p.start(TOKEN, at("18:30"), 1_000)
    await day.until(at("09:30"))
    await p.stop(number, at("19:30"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert (found.session["started_at"], found.session["stopped_at"]) == (at("08:30"), at("09:30"))
    assert found.codes == {"clock.wrong"}


@story(V16, site="idle")
async def test_r9_a_clock_that_is_two_hours_behind(day: Day, p: Point16) -> Script:
    """Steadily, by its statuses: what it says is moved by as much, and is live. Unplugged half an
    hour after the stop, less ten minutes: 20 at 0.20."""
    for when, said in (("10:30", "08:30"), ("10:36", "08:36"), ("10:42", "08:42")):
        await day.until(at(when))
        await p.status("Preparing", at(said))
    await day.until(at("11:00"))
    number = await p.start(TOKEN, at("09:00"), 1_000)
    await day.until(at("11:30"))
    await p.meter(number, at("09:30"), 6_000)
    await day.until(at("12:00"))
    await p.stop(number, at("10:00"), 11_000)
    await day.until(at("12:30"))
    await p.status("Available", at("10:30"))
    found = yield
    assert (found.session["started_at"], found.session["stopped_at"]) == (at("11:00"), at("12:00"))
    assert found.session["ended_at"] == at("12:30")
    assert found.bill == ("billed", 10_000, 300 + 400)
    assert found.codes == {"clock.wrong"}


@story(V16)
async def test_r9_an_end_before_the_start_is_held(day: Day, p: Point16) -> Script:
    await day.until(at("11:00"))
    number = await p.start(TOKEN, at("10:30"), 1_000)
    await p.stop(number, at("09:30"), 11_000)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"stop.before_start"}


@story(V16, site="moved")
async def test_r9_a_queue_of_days_ago_is_priced_by_its_own_day(day: Day, p: Point16) -> Script:
    """From the 3rd on a kWh costs 0.90 here, which the display says too: the session of the 2nd
    costs 0.30 all the same."""
    await day.until(at("09:00", 4))
    for when, start_wh in ((at("10:00"), 1_000), (at("08:00", 4), 11_000)):
        number = await p.start(TOKEN, when, start_wh)
        await p.stop(number, when.replace(minute=50), start_wh + 10_000)
    found = yield
    assert [bill(s) for s in found.sessions] == [("billed", 10_000, 300), ("billed", 10_000, 900)]
    assert all(s["contract"]["offline"] for s in found.sessions)
    assert found.codes == set()


@story(V16, site="shown")
async def test_r9_offline_it_costs_no_more_than_was_shown(day: Day, p: Point16) -> Script:
    """0.50 a kWh, and the display says 0.30."""
    await day.until(at("10:00"))
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await p.stop(number, at("09:00"), 11_000)
    online = await p.start(TOKEN, at("10:00"), 11_000)
    await day.until(at("11:00"))
    await p.stop(online, at("11:00"), 21_000)
    found = yield
    assert [bill(s) for s in found.sessions] == [("billed", 10_000, 300), ("billed", 10_000, 500)]
    assert [s["contract"].get("offline", False) for s in found.sessions] == [True, False]
    assert found.codes == {"price.as_displayed"}


# R10: the stop that does not come.


@story(V16)
async def test_r10_the_next_start_ends_the_one_before(day: Day, p: Point16) -> Script:
    await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:30"))
    await p.meter(None, at("08:30"), 6_000)
    await day.until(at("10:00"))
    number = await p.start(TOKEN, at("10:00"), 8_000)
    await day.until(at("11:00"))
    await p.stop(number, at("11:00"), 9_000)
    found = yield
    assert [bill(s) for s in found.sessions] == [("billed", 5_000, 150), ("billed", 1_000, 30)]
    assert [s["stop_provisional"] for s in found.sessions] == [True, False]
    # From 6,000 to 8,000 nobody told what the meter counted.
    (moved,) = found.sessions[1]["anomalies"]
    assert (moved["code"], moved["detail"]["energy_wh"]) == ("register.moved", 2_000)
    assert found.codes == {"stop.missing", "register.moved", "transaction.matched"}


@story(V16)
async def test_r10_a_late_stop_adjusts_the_bill(day: Day, p: Point16) -> Script:
    """Billed by the last reading, 5,000 Wh; the stop says 6,000."""
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:30"))
    await p.meter(number, at("08:30"), 6_000)
    for when in ("09:00", "09:30", "09:55"):  # said again it waits no longer
        await day.until(at(when))
        await p.status("Available", at(when))
    await day.until(at("12:00"))
    await p.stop(number, at("08:45"), 7_000)
    await p.stop(number, at("08:45"), 7_000)
    found = yield
    assert found.session["documents"][0]["issued_at"] == at("10:01")
    assert found.documents == [(5_000, 150), (-5_000, -150), (6_000, 180)]
    row = found.session
    assert (row["state"], row["meter_stop_wh"], row["stopped_at"], row["stop_provisional"]) == (
        "adjusted", 7_000, at("08:45"), False,
    )  # fmt: skip
    assert found.codes == {"stop.missing", "stop.late"}


@story(V16)
async def test_r10_a_late_stop_before_the_bill_replaces_what_was_presumed(
    day: Day, p: Point16
) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:30"))
    await p.meter(number, at("08:30"), 6_000)
    await day.until(at("09:00"))
    await p.status("Available", at("09:00"))
    await day.until(at("09:30"))
    await p.stop(number, at("08:45"), 7_000)
    found = yield
    assert found.bill == ("billed", 6_000, 180)
    assert found.session["stop_provisional"] is False


@story(V16)
async def test_r10_a_charge_point_that_boots_and_says_no_more(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:30"))
    await p.meter(number, at("08:30"), 6_000)
    await day.until(at("09:00"))
    await p.boot()
    found = yield
    assert found.bill == ("billed", 5_000, 150)
    assert found.codes == {"stop.missing"}
    # An hour for the stop to come, and the settle window.
    assert found.session["documents"][0]["issued_at"] == at("10:01")


@story(V16)
async def test_r10_a_charge_point_that_boots_and_goes_on(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.boot()
    await day.until(at("09:30"))
    await p.meter(number, at("09:30"), 6_000)
    await day.until(at("11:00"))
    await p.stop(number, at("11:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(V16)
async def test_r10_silence_is_asked_about_and_then_the_end(day: Day, p: Point16) -> Script:
    """A day without a word; an hour after we asked it is over."""
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:30"))
    await p.meter(number, at("08:30"), 6_000)
    found = yield
    assert found.bill == ("billed", 5_000, 150)
    assert "stop.missing" in found.codes
    asked = [e for e in found.more["effect"] if e["kind"] == "ocpp.trigger_message"]
    assert [e["caused_at"] for e in asked] == [at("08:30", 3)]
    assert found.session["documents"][0]["issued_at"] == at("09:31", 3)


@story(V16, points=2)
async def test_r10_where_nothing_was_read_it_is_held_until_the_stop_comes(
    day: Day, p: Point16, q: Point16
) -> Script:
    await p.start(TOKEN, at("08:00"), 1_000)
    number = await q.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.status("Available", at("09:00"))
    await q.status("Available", at("09:00"))
    await day.until(at("12:00"))
    await q.stop(number, at("08:30"), 6_000)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.session["held_reason"] == "stop.missing"
    (other,) = [s for s in found.more["session"] if s["charge_point_id"] == q.id]
    assert (other["state"], other["meter_stop_wh"]) == ("billed", 6_000)


@story(V16, site="idle")
async def test_r10_a_status_that_overtakes_the_stop(day: Day, p: Point16) -> Script:
    """1.6 3.7: Available comes first, and proves that the car has gone all the same."""
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00:05"))
    await p.status("Available", at("09:00:01"))
    await p.stop(number, at("09:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()
    assert found.session["documents"][0]["issued_at"] == at("09:01:05")


@story(V16)
async def test_r10_available_after_a_boot_and_then_it_goes_on(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:30"))
    await p.boot()
    await p.status("Available", at("08:30"))
    await p.status("Charging", at("08:30"))
    await day.until(at("09:15"))
    await p.meter(number, at("09:15"), 9_000)
    await day.until(at("11:00"))
    await p.stop(number, at("11:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(V16)
async def test_r10_a_meter_that_stands_says_nothing_of_a_session_we_ask_after(
    day: Day, p: Point16
) -> Script:
    """A charge point that never names its transactions: asked after a day of silence it reads its
    meter for us, and that stands where it stood."""
    await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:30"))
    await p.meter(None, at("08:30"), 6_000)
    await day.until(at("08:35", 3))
    await p.meter(None, at("08:35", 3), sample16("6000", context="Trigger"))
    found = yield
    assert found.bill == ("billed", 5_000, 150)
    assert found.session["stopped_at"] == at("08:30")
    assert found.session["documents"][0]["issued_at"] == at("09:31", 3)


@story(V16)
async def test_r10_a_reading_that_comes_late_changes_nothing_it_does_not_have_to(
    day: Day, p: Point16
) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.stop(number, at("09:00"), 11_000)
    await day.until(at("10:00"))
    await p.meter(number, at("08:30"), 6_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"data.late"}


@story(V16)
async def test_r10_readings_after_a_bill_without_a_stop_adjust_it_once(
    day: Day, p: Point16
) -> Script:
    """Billed by 5,000 Wh when the connector was said to be free; the charging had gone on. A day
    after the first reading that says so the bill is adjusted, once."""
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:30"))
    await p.meter(number, at("08:30"), 6_000)
    await day.until(at("09:00"))
    await p.status("Available", at("09:00"))
    for when, wh in ((at("11:00"), 16_000), (at("12:00"), 21_000)):
        await day.until(when)
        await p.meter(number, when, wh)
    found = yield
    assert found.documents == [(5_000, 150), (-5_000, -150), (20_000, 600)]
    assert found.session["documents"][1]["issued_at"] == at("11:00", 3)


# R11: samples at the ends.


@story(V16)
async def test_r11_the_baseline_is_meter_start_and_empty_samples_are_none(
    day: Day, p: Point16
) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.meter(number, at("08:15"), 3_500)
    await p.stop(number, at("09:00"), 11_000, (at("09:00"), []))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


# R12: signed values.


@story(V16, meter_keys=(METER_KEY,))
async def test_r12_a_signed_value_counts_first(day: Day, p: Point16) -> Script:
    """11.5 - 1.5 kWh are signed; meterStart and meterStop say 9,000 Wh."""
    text = record(("B", at("08:00"), "1.5"), ("E", at("09:00"), "11.5"))
    number = await p.start(TOKEN, at("08:00"), 2_000)
    await day.until(at("09:00"))
    signed = sample16(text, format="SignedData", **END)
    await p.stop(number, at("09:00"), 11_000, (at("09:00"), [signed]))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert [(s["verified"], s["data"]) for s in found.session["signed"]] == [(True, text)]
    assert found.codes == {"meter.disagrees"}


@story(V16, site="signed", meter_keys=(METER_KEY,))
async def test_r12_a_signed_value_as_json_in_a_text(day: Day, p: Point16) -> Script:
    """Begin and end in records of their own, without a raw value beside them."""
    number = await p.start(TOKEN, at("08:00"), 1_500)

    def signed(tx: str, when: str, kwh: str) -> dict[str, Any]:
        data = in_base64(record((tx, at(when), kwh)))
        held = {"signedMeterData": data, "signingMethod": "", "encodingMethod": "OCMF",
                "publicKey": ""}  # fmt: skip
        context = "Transaction.Begin" if tx == "B" else "Transaction.End"
        return sample16(json.dumps(held), format="SignedData", context=context)

    await day.until(at("09:00"))
    await p.stop(number, at("09:00"), 11_500, (at("08:00"), [signed("B", "08:00", "1.5")]),
                 (at("09:00"), [signed("E", "09:00", "11.5")]))  # fmt: skip
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(V16, meter_keys=(METER_KEY,))
async def test_r12_a_byte_that_was_changed(day: Day, p: Point16) -> Script:
    """The raw registers count, and it is shown."""
    text = record(("B", at("08:00"), "1.5"), ("E", at("09:00"), "11.5")).replace("11.5", "19.5")
    number = await p.start(TOKEN, at("08:00"), 1_500)
    await day.until(at("09:00"))
    signed = sample16(text, format="SignedData", **END)
    await p.stop(number, at("09:00"), 11_500, (at("09:00"), [signed]))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert [(s["verified"], s["data"]) for s in found.session["signed"]] == [(False, text)]
    assert found.codes == {"signature.invalid"}


@story(V16, site="signed", meter_keys=(METER_KEY,))
async def test_r12_where_signed_values_are_required_nothing_else_is_billed(
    day: Day, p: Point16
) -> Script:
    number = await p.start(TOKEN, at("08:00"), 1_500)
    await day.until(at("09:00"))
    await p.stop(number, at("09:00"), 11_500)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"signature.missing"}


# R13: idle. 0.20 a minute after ten; 10 kWh are 300 cents.


def _hour(p: Point16, day: Day) -> Any:
    """Charged from eight to nine: 10 kWh."""

    async def charged() -> int:
        number = await p.start(TOKEN, at("08:00"), 1_000)
        await day.until(at("09:00"))
        await p.meter(number, at("09:00"), 11_000)
        return number

    return charged()


@story(V16, site="idle")
async def test_r13_a_car_that_is_full_is_idle_after_the_grace(day: Day, p: Point16) -> Script:
    """09:00 to 09:40, less ten minutes: 30 at 0.20."""
    number = await _hour(p, day)
    await p.status("SuspendedEV", at("09:00"))
    await day.until(at("09:40"))
    await p.stop(number, at("09:40"), 11_000)
    await p.status("Available", at("09:40"))
    found = yield
    assert found.bill == ("billed", 10_000, 300 + 600)
    assert found.codes == set()


@story(V16, site="idle")
async def test_r13_a_pause_of_the_charger_is_not_idle(day: Day, p: Point16) -> Script:
    number = await _hour(p, day)
    await p.status("SuspendedEVSE", at("09:00"))
    await day.until(at("09:40"))
    await p.stop(number, at("09:40"), 11_000)
    await p.status("Available", at("09:40"))
    found = yield
    assert found.bill == ("billed", 10_000, 300)


@story(V16, site="idle")
async def test_r13_idle_is_capped(day: Day, p: Point16) -> Script:
    """Six hours are 350 minutes at 0.20, 70.00: 12.00 at most."""
    number = await _hour(p, day)
    await p.status("SuspendedEV", at("09:00"))
    await day.until(at("15:00"))
    await p.stop(number, at("15:00"), 11_000)
    await p.status("Available", at("15:00"))
    found = yield
    assert found.bill == ("billed", 10_000, 300 + 1_200)


@story(V16, site="idle")
async def test_r13_a_status_that_the_meter_contradicts_loses(day: Day, p: Point16) -> Script:
    """Said to be suspended from 08:10 on, and 10 kWh flow until 08:40."""
    number = await p.start(TOKEN, at("08:00"), 1_000)
    await day.until(at("08:10"))
    await p.meter(number, at("08:10"), 2_000)
    await p.status("SuspendedEV", at("08:10"))
    await day.until(at("08:40"))
    await p.stop(number, at("08:40"), 12_000)
    await p.status("Available", at("08:40"))
    found = yield
    assert found.bill == ("billed", 11_000, 330)
    assert found.codes == {"status.contradicted"}


@story(V16, site="idle")
async def test_r13_idle_after_the_stop_ends_with_the_unplug(day: Day, p: Point16) -> Script:
    """09:00 to 09:30, less ten minutes: 20 at 0.20."""
    number = await _hour(p, day)
    await p.stop(number, at("09:00"), 11_000)
    await p.status("Finishing", at("09:00"))
    await day.until(at("09:30"))
    await p.status("Available", at("09:30"))
    found = yield
    assert found.bill == ("billed", 10_000, 300 + 400)
    assert found.session["ended_at"] == at("09:30")


@story(V16, site="idle")
async def test_r13_without_proof_of_an_unplug_no_idle_is_billed(day: Day, p: Point16) -> Script:
    number = await _hour(p, day)
    await p.stop(number, at("09:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"unplug.missing"}
    # Ten minutes are free, and sixty at 0.20 reach the cap of 12.00: nothing is added after that.
    assert found.session["documents"][0]["issued_at"] == at("10:10")


@story(V16, site="idle")
async def test_r13_a_car_that_is_still_there_is_billed_up_to_the_cap(
    day: Day, p: Point16
) -> Script:
    """The connector says Finishing and nothing else, and the charge point stays connected."""
    number = await _hour(p, day)
    await p.stop(number, at("09:00"), 11_000)
    await p.status("Finishing", at("09:00"))
    found = yield
    assert found.bill == ("billed", 10_000, 300 + 1_200)
    assert found.session["documents"][0]["issued_at"] == at("10:10")


# R14: nothing delivered.


@story(V16)
async def test_r14_no_energy_is_free_and_the_hold_is_given_back(day: Day, p: Point16) -> Script:
    assert await p.authorize(CARD) == "Accepted"
    number = await p.start(CARD, at("08:00"), 1_000)
    await day.until(at("08:02"))
    await p.stop(number, at("08:02"), 1_000)
    found = yield
    assert found.bill == ("free", 0, 0)
    assert [payment["state"] for payment in found.session["payments"]] == ["released"]


# R15: who may charge.


@story(V16)
async def test_r15_energy_for_a_refused_token_is_waived_and_counted(day: Day, p: Point16) -> Script:
    answer = await p.start_answer(BLOCKED, at("08:00"), 1_000)
    assert answer.id_tag_info["status"] == "Blocked"
    await day.until(at("08:10"))
    await p.stop(answer.transaction_id, at("08:10"), 3_000, reason="DeAuthorized")
    found = yield
    assert found.session["contract"]["route"] == "none"
    assert found.bill == ("billed", 2_000, 60)
    assert [(part["state"], part["amount_minor"]) for part in found.session["parts"]] == [
        ("waived", 60)
    ]


@story(V16)
async def test_r15_the_start_decides_again(day: Day, p: Point16) -> Script:
    """Blocked at half past eight: what was accepted before is not any more."""
    await day.until(at("08:15"))
    assert await p.authorize(TURNCOAT) == "Accepted"
    await day.until(at("08:45"))
    answer = await p.start_answer(TURNCOAT, at("08:45"), 1_000)
    assert answer.id_tag_info["status"] == "Blocked"
    await p.stop(answer.transaction_id, at("08:45"), 1_000, reason="DeAuthorized")
    found = yield
    assert found.bill == ("free", 0, 0)


# Phases.


@story(V16)
async def test_a_register_that_comes_by_phase_is_their_sum(day: Day, p: Point16) -> Script:
    number = await p.start(TOKEN, at("08:00"), 0)
    await day.until(at("09:00"))

    def phases(*kwh: str, **more: str) -> list[Any]:
        return [sample16(value, phase=f"L{i}", **KWH, **more) for i, value in enumerate(kwh, 1)]

    await p.meter(number, at("08:30"), *phases("1.5", "2", "1.5"))
    await p.stop(number, at("09:00"), 10_000, (at("09:00"), phases("3", "4", "3", **END)))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()
    assert [f["register_wh"] for f in found.session["facts"] if f["kind"] == "meter"] == [
        5_000, 10_000,
    ]  # fmt: skip
