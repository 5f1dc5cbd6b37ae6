"""What a dirty OCPP 2.0.1 or 2.1 station says, and what becomes of it: rules R1 to R15
(docs/ocpp.md).

At 0.30 a kWh without tax, 1,000 Wh are 30 cents.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from rig.network import BLOCKED, CARD, at
from rig.points2 import V21, V201, Station, sample2
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
TWO = (V201, V21)
END, BEGIN = {"context": "Transaction.End"}, {"context": "Transaction.Begin"}
UNPLUGGED = {"stoppedReason": "EVDisconnected", "trigger": "EVCommunicationLost"}


async def _hour(day: Day, p: Station, ref: str = "t", **more: Any) -> None:
    """From eight to nine: 10 kWh, told as they flow. The end is still to come."""
    await p.started(ref, at("08:00"), 1_000, token=TOKEN, **more)
    await day.until(at("09:00"))
    await p.updated(ref, at("08:30"), 6_000)


# R1: kept as it came, and answered.


@story(*TWO)
async def test_r1_what_cannot_be_read_is_kept_and_answered(day: Day, p: Station) -> Script:
    """Part 4, 4.2.3: where the id can't be read it is -1."""
    torn, wrong, strange, noise = (
        '[2,"x1","TransactionEvent",{"eventType":', '[2,"x2","TransactionEvent",{"seqNo":0}]',
        '[2,"x3","Foo",{}]', "hello",
    )  # fmt: skip
    for text, message_id in ((torn, "x1"), (wrong, "x2"), (strange, "x3"), (noise, "-1")):
        assert (await p.raw(text))[:2] == [4, message_id]
    await p.started("t", at("08:00"), 1_000, sample2(1, "furlong"), token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    came = [frame["raw"] for frame in found.more["frame"] if frame["direction"] == "in"]
    assert {torn, wrong, strange, noise} <= set(came)
    assert {"frame.malformed", "frame.invalid", "sample.invalid"} <= found.codes


# R3: events count once, by their content.


@story(*TWO)
async def test_r3_an_event_that_is_repeated_counts_once(day: Day, p: Station) -> Script:
    """With the same message id or a new one; each time it is answered the same."""
    start = p.event("Started", "t", at("08:00"), 1_000, token=TOKEN)
    middle = p.event("Updated", "t", at("08:30"), 6_000)
    end = p.event("Ended", "t", at("09:00"), 11_000, stoppedReason="Local")
    for message_id in ("m1", "m1", None):
        answer = await p.say(start, message_id)
        assert answer.id_token_info["status"] == "Accepted"
    await day.until(at("09:00"))
    for event in (middle, middle, end, end, start, middle):
        await p.say(event)
    await day.until(at("12:00"))
    for event in (start, middle, end):
        await p.say(event)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    kinds = [fact["kind"] for fact in found.session["facts"]]
    assert (kinds.count("start"), kinds.count("meter"), kinds.count("stop")) == (1, 3, 1)
    assert found.codes == set()


@story(*TWO)
async def test_r3_a_station_that_never_counts(day: Day, p: Station) -> Script:
    """seqNo 0 on everything: all of it counts, and nothing is missed."""
    await p.started("t", at("08:00"), 1_000, token=TOKEN, seq=0)
    await day.until(at("09:00"))
    for minute, wh in (("08:15", 3_500), ("08:30", 6_000)):
        await p.updated("t", at(minute), wh, seq=0)
    await p.ended("t", at("09:00"), 11_000, seq=0)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    meters = [f["register_wh"] for f in found.session["facts"] if f["kind"] == "meter"]
    assert meters == [1_000, 3_500, 6_000, 11_000]
    assert found.codes == set()


@story(*TWO)
async def test_r3_an_id_that_is_used_again_is_another_transaction(day: Day, p: Station) -> Script:
    for hour, start_wh in (("08", 1_000), ("10", 6_000)):
        await day.until(at(f"{hour}:00"))
        start = p.event("Started", "t", at(f"{hour}:00"), start_wh, token=TOKEN, seq=0)
        await p.say(start)
        await day.until(at(f"{hour}:30"))
        await p.ended("t", at(f"{hour}:30"), start_wh + 5_000)
        await p.say(start)  # said again it is of the transaction that it began
    found = yield
    assert [bill(session) for session in found.sessions] == [("billed", 5_000, 150)] * 2
    assert found.codes == {"transaction.reused"}


@story(*TWO)
async def test_r3_a_start_without_a_clock_that_is_said_again_is_no_other_transaction(
    day: Day, p: Station
) -> Script:
    await day.until(at("08:30"))
    start = p.event("Started", "t", at("08:30").replace(year=1970), 1_000, token=TOKEN)
    await p.say(start)
    await day.until(at("09:30"))
    await p.ended("t", at("09:30").replace(year=1970), 11_000)
    await day.until(at("10:00"))
    await p.say(start)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"clock.wrong"}


def _events(p: Station) -> list[Any]:
    return [
        p.event("Started", "t", at("08:00"), 1_000, state="EVConnected", trigger="CablePluggedIn"),
        p.event("Updated", "t", at("08:05"), token=TOKEN),
        p.event("Updated", "t", at("08:30"), 6_000, trigger="MeterValuePeriodic"),
        p.event("Ended", "t", at("09:00"), 11_000, state="Idle", trigger="EVDeparted",
                stoppedReason="EVDisconnected"),
    ]  # fmt: skip


@story(*TWO)
async def test_r3_everything_twice_and_in_reverse_order_is_the_same_bill(
    day: Day, p: Station
) -> Script:
    """The end first, before anybody knows who charged."""
    await day.until(at("09:00"))
    for event in reversed(_events(p)):
        await p.say(event)
        answer = await p.say(event)
        if event.id_token is not None:
            assert answer.id_token_info["status"] == "Accepted"
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert (found.session["started_at"], found.session["token"]) == (at("08:00"), TOKEN)
    assert found.codes <= {"events.missing"}


@story(*TWO)
async def test_r3_in_order_for_comparison(day: Day, p: Station) -> Script:
    """Without a token until the second event: it waits for that."""
    events = _events(p)
    await p.say(events[0])
    await day.until(at("09:00"))
    answer = await p.say(events[1])
    assert answer.id_token_info["status"] == "Accepted"
    for event in events[2:]:
        await p.say(event)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.session["started_at"] == at("08:00")
    assert found.codes == set()


# R4: ids are of their station; EVSEs.


@story(*TWO, points=2)
async def test_r4_two_stations_may_use_the_same_id(day: Day, p: Station, q: Station) -> Script:
    ref = "0" * 36
    await p.started(ref, at("08:00"), 1_000, token=TOKEN)
    await q.started(ref, at("08:00"), 2_000, token=TOKEN)
    await day.until(at("09:00"))
    await q.ended(ref, at("09:00"), 3_000)
    await p.ended(ref, at("09:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    others = [s for s in found.more["session"] if s["charge_point_id"] == q.id]
    assert [(s["transaction_ref"], s["meter_stop_wh"]) for s in others] == [(ref, 3_000)]


@story(*TWO)
async def test_r4_the_evse_may_be_told_later(day: Day, p: Station) -> Script:
    await p.started("t", at("08:00"), 1_000, token=TOKEN, evse=None)
    await day.until(at("09:00"))
    await p.updated("t", at("08:30"), 6_000, evse=2)
    await p.ended("t", at("09:00"), 11_000, evse=None)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.session["connector_id"] == 2


# R5, R6: which register, in which unit.


@story(*TWO)
async def test_r5_a_sample_of_the_same_moment_does_without_its_context(
    day: Day, p: Station
) -> Script:
    """Neither Transaction.Begin nor Transaction.End is said."""
    await p.started("t", at("08:00"), sample2(1_000.4), token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), sample2(11_000.4))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(*TWO)
async def test_r6_units_and_multipliers(day: Day, p: Station) -> Script:
    """1 kWh; 60 times 10^2 Wh; 110,000 times 10^-1 Wh."""
    await p.started("t", at("08:00"), sample2(1, "kWh", **BEGIN), token=TOKEN)
    await day.until(at("09:00"))
    await p.updated("t", at("08:30"), sample2(60, "Wh", 2))
    await p.ended("t", at("09:00"), sample2(110_000, None, -1, **END))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(*TWO)
async def test_r6_three_hundred_kwh_in_half_a_minute_are_held(day: Day, p: Station) -> Script:
    await p.started("t", at("08:00"), 0, token=TOKEN)
    await p.ended("t", at("08:00:30"), sample2(300.05, "kWh", **END))
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"energy.implausible"}


@story(*TWO)
async def test_r6_a_thousandth_at_the_end_is_another_unit_and_held(day: Day, p: Station) -> Script:
    """Wh all the time, and kWh at the end without a word: no register that began anew."""
    await p.started("t", at("08:00"), 0, token=TOKEN)
    await day.until(at("09:00"))
    await p.updated("t", at("08:30"), 5_000)
    await p.updated("t", at("08:58"), 9_800)
    await p.ended("t", at("09:00"), 10)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"unit.doubtful"}


@story(*TWO)
async def test_r6_kwh_without_a_unit_are_held(day: Day, p: Station) -> Script:
    """20 in an hour at 22 kW, of which 22 are a thousandth."""
    await p.started("t", at("08:00"), 1_000, token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), 1_020)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"unit.doubtful"}


@story(*TWO, meter_unit="kWh")
async def test_r6_what_is_configured_of_the_unit_counts(day: Day, p: Station) -> Script:
    await p.started("t", at("08:00"), 1, token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), 11)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(*TWO)
async def test_r6_intervals_without_a_register_are_summed(day: Day, p: Station) -> Script:
    """2,500 + 3,500 + 4,000 Wh since the one before."""
    interval = {"measurand": "Energy.Active.Import.Interval"}
    await p.started("t", at("08:00"), token=TOKEN)
    await day.until(at("09:00"))
    await p.updated("t", at("08:20"), sample2(2.5, "kWh", **interval))
    await p.updated("t", at("08:40"), sample2(3_500, **interval))
    await p.ended("t", at("09:00"), sample2(4_000, **interval))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(*TWO)
async def test_r6_a_register_goes_before_intervals_beside_it(day: Day, p: Station) -> Script:
    interval = {"measurand": "Energy.Active.Import.Interval"}
    await p.started("t", at("08:00"), 1_000, token=TOKEN)
    await day.until(at("09:00"))
    await p.updated("t", at("08:30"), 6_000, sample2(5_000, **interval))
    await p.ended("t", at("09:00"), 11_000, sample2(5_001, **interval))
    found = yield
    assert found.bill == ("billed", 10_000, 300)


@story(*TWO)
async def test_r6_a_register_that_comes_by_phase_is_their_sum(day: Day, p: Station) -> Script:
    def phases(*kwh: float, **more: str) -> list[Any]:
        return [sample2(v, "kWh", phase=f"L{i}", **more) for i, v in enumerate(kwh, 1)]

    await p.started("t", at("08:00"), *phases(1, 2, 1, **BEGIN), token=TOKEN)
    await day.until(at("09:00"))
    await p.updated("t", at("08:30"), *phases(2.5, 4, 2.5))
    await p.ended("t", at("09:00"), *phases(4, 6, 4, **END))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


# R7: registers that fall.


@story(*TWO)
async def test_r7_dips_resets_and_what_else_falls(day: Day, p: Station) -> Script:
    """A dip at 08:15; 4,900 Wh until the reset, 3,000 after it: 7,900."""
    await p.started("t", at("08:00"), 100, token=TOKEN)
    await day.until(at("09:00"))
    for minute, wh in (("08:10", 2_000), ("08:15", 3), ("08:30", 5_000), ("08:45", 1_200)):
        await p.updated("t", at(minute), wh)
    await p.ended("t", at("09:00"), 3_000)
    found = yield
    assert found.bill == ("billed", 7_900, 237)
    assert found.codes == {"register.dip", "register.reset"}


@story(*TWO)
async def test_r7_a_register_below_the_start_that_is_no_reset_is_held(
    day: Day, p: Station
) -> Script:
    """22 kW for half an hour are 13,200 Wh at most: 60,000 can't have come since."""
    await p.started("t", at("08:00"), 90_000, token=TOKEN)
    await day.until(at("09:00"))
    await p.updated("t", at("08:30"), 95_000)
    await p.ended("t", at("09:00"), 60_000)
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"register.fell"}


# R8: the register between sessions.


@story(*TWO)
async def test_r8_energy_between_two_sessions_is_shown(day: Day, p: Station) -> Script:
    for hour, start_wh, stop_wh in (("08", 1_000, 5_000), ("09", 5_500, 10_000)):
        await day.until(at(f"{hour}:00"))
        await p.started(hour, at(f"{hour}:00"), start_wh, token=TOKEN)
        await day.until(at(f"{hour}:30"))
        await p.ended(hour, at(f"{hour}:30"), stop_wh)
    found = yield
    assert [bill(s)[1] for s in found.sessions] == [4_000, 4_500]
    assert found.codes == {"register.moved"}


# R9: clocks.


@story(*TWO)
async def test_r9_a_clock_that_was_never_set_and_one_that_runs_ahead(
    day: Day, p: Station
) -> Script:
    await day.until(at("08:30"))
    await p.started("t", at("08:30").replace(year=1970), 1_000, token=TOKEN)
    await day.until(at("09:30"))
    await p.ended("t", at("19:30"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert (found.session["started_at"], found.session["stopped_at"]) == (at("08:30"), at("09:30"))
    assert found.codes == {"clock.wrong"}


@story(*TWO, site="idle")
async def test_r9_a_clock_that_is_two_hours_behind(day: Day, p: Station) -> Script:
    """Steadily, by its statuses. Unplugged half an hour after the end, less ten minutes: 20 at
    0.20."""
    for when, said in (("10:30", "08:30"), ("10:36", "08:36"), ("10:42", "08:42")):
        await day.until(at(when))
        await p.status("Occupied", at(said))
    await day.until(at("11:00"))
    await p.started("t", at("09:00"), 1_000, token=TOKEN)
    await day.until(at("12:00"))
    await p.ended("t", at("10:00"), 11_000)
    await day.until(at("12:30"))
    await p.status("Available", at("10:30"))
    found = yield
    assert (found.session["started_at"], found.session["stopped_at"]) == (at("11:00"), at("12:00"))
    assert found.bill == ("billed", 10_000, 300 + 400)
    assert found.codes == {"clock.wrong"}


@story(*TWO, site="moved")
async def test_r9_a_queue_of_days_ago_is_priced_by_its_own_day(day: Day, p: Station) -> Script:
    """From the 3rd on a kWh costs 0.90 here, which the display says too."""
    await day.until(at("09:00", 4))
    for ref, when, wh in (("a", at("10:00"), 1_000), ("b", at("08:00", 4), 11_000)):
        await p.started(ref, when, wh, token=TOKEN, offline=True)
        await p.ended(ref, when.replace(minute=50), wh + 10_000, offline=True)
    found = yield
    assert [bill(s) for s in found.sessions] == [("billed", 10_000, 300), ("billed", 10_000, 900)]
    assert all(s["contract"]["offline"] for s in found.sessions)
    assert found.codes == set()


@story(*TWO, site="shown")
async def test_r9_offline_it_costs_no_more_than_was_shown(day: Day, p: Station) -> Script:
    """0.50 a kWh, and the display says 0.30."""
    await day.until(at("10:00"))
    await p.started("a", at("08:00"), 1_000, token=TOKEN, offline=True)
    await p.ended("a", at("09:00"), 11_000, offline=True)
    await p.started("b", at("10:00"), 11_000, token=TOKEN)
    await day.until(at("11:00"))
    await p.ended("b", at("11:00"), 21_000)
    found = yield
    assert [bill(s) for s in found.sessions] == [("billed", 10_000, 300), ("billed", 10_000, 500)]
    assert found.codes == {"price.as_displayed"}


# R10: what does not come.


def _asked(found: Found) -> list[Any]:
    return [e["caused_at"] for e in found.more["effect"]
            if e["kind"] == "ocpp.get_transaction_status"]  # fmt: skip


QUEUE = {"messages_in_queue": True, "ongoing_indicator": False}
NO_QUEUE = {"messages_in_queue": False, "ongoing_indicator": False}


def _with_a_gap(p: Station) -> tuple[Any, list[Any], Any]:
    """The start; two events that are kept back; the end. The register at the end is the last
    sample of the second: the end itself has none."""
    start = p.event("Started", "t", at("08:00"), 1_000, token=TOKEN)
    kept = [p.event("Updated", "t", at(minute), wh, trigger="MeterValuePeriodic")
            for minute, wh in (("08:30", 6_000), ("08:58", 11_000))]  # fmt: skip
    end = p.event("Ended", "t", at("09:00"), state="EVConnected", stoppedReason="Local")
    return start, kept, end


@story(*TWO)
async def test_r10_what_is_in_the_stations_queue_is_waited_for(day: Day, p: Station) -> Script:
    """TC_E: two numbers are skipped, the station says it still has them, and they come half an
    hour after the end: one bill, with all of it."""
    p.answers["GetTransactionStatus"] = QUEUE
    start, kept, end = _with_a_gap(p)
    await p.say(start)
    await day.until(at("09:00"))
    await p.say(end)
    await day.until(at("09:05"))
    await p.status("Available", at("09:05"))
    await day.until(at("09:30"))
    assert [action for action, _ in p.asked] == ["GetTransactionStatus"]
    for event in kept:
        await p.say(event)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert _asked(found) == [at("09:00")]
    assert found.session["documents"][0]["issued_at"] == at("09:31")
    assert found.codes <= {"events.missing", "end.missing"}


@story(*TWO)
async def test_r10_what_is_in_no_queue_is_not_waited_for(day: Day, p: Station) -> Script:
    p.answers["GetTransactionStatus"] = NO_QUEUE
    start = _with_a_gap(p)[0]
    await p.say(start)
    await day.until(at("08:30"))
    await p.updated("t", at("08:30"), 6_000)  # counted as 4th, so that two are missing
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert "events.missing" in found.codes
    assert found.session["documents"][0]["issued_at"] == at("09:01")


@story(*TWO)
async def test_r10_what_a_station_does_not_say_is_waited_for_an_hour(
    day: Day, p: Station
) -> Script:
    """Asked, it says that it has them, and never sends them."""
    p.answers["GetTransactionStatus"] = QUEUE
    await p.started("t", at("08:00"), 1_000, token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), 11_000, seq=3)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"events.missing"}
    assert found.session["documents"][0]["issued_at"] == at("10:00")


@story(*TWO, site="idle")
async def test_r10_a_gap_does_not_cut_the_idle_time_short(day: Day, p: Station) -> Script:
    """The events come at 09:05, the car goes at 09:40: 30 minutes at 0.20 after ten."""
    p.answers["GetTransactionStatus"] = QUEUE
    await p.started("t", at("08:00"), 1_000, token=TOKEN)
    middle = p.event("Updated", "t", at("08:30"), 6_000)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), 11_000, state="EVConnected")
    await day.until(at("09:05"))
    await p.say(middle)
    await day.until(at("09:40"))
    await p.status("Available", at("09:40"))
    found = yield
    assert found.bill == ("billed", 10_000, 300 + 600)


@story(*TWO)
async def test_r10_an_update_after_the_bill_changes_nothing_it_does_not_have_to(
    day: Day, p: Station
) -> Script:
    await p.started("t", at("08:00"), 1_000, token=TOKEN, seq=0)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), 11_000, seq=1)
    await day.until(at("10:00"))
    await p.updated("t", at("08:30"), 6_000, seq=2)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"data.late"}


@story(*TWO)
async def test_r10_a_late_end_adjusts_the_bill(day: Day, p: Station) -> Script:
    """Silent since 08:30 of the 2nd; asked after a day, it has it in its queue; billed by 5,000 Wh
    an hour later. The end comes the day after that, and says 10,000."""
    p.answers["GetTransactionStatus"] = QUEUE
    await _hour(day, p)
    end = p.event("Ended", "t", at("09:00"), 11_000, stoppedReason="Local")
    await day.until(at("12:00", 4))
    await p.say(end)
    found = yield
    assert found.documents == [(5_000, 150), (-5_000, -150), (10_000, 300)]
    assert found.session["state"] == "adjusted"
    assert found.session["stopped_at"] == at("09:00")
    assert _asked(found) == [at("09:00", 3)]
    assert {"stop.missing", "stop.late"} <= found.codes


@story(*TWO)
async def test_r10_a_station_that_knows_nothing_of_it_any_more(day: Day, p: Station) -> Script:
    p.answers["GetTransactionStatus"] = NO_QUEUE
    await _hour(day, p)
    found = yield
    assert found.bill == ("billed", 5_000, 150)
    assert found.session["documents"][0]["issued_at"] == at("09:01", 3)
    assert found.codes == {"stop.missing"}


@story(*TWO)
async def test_r10_available_is_asked_about_first(day: Day, p: Station) -> Script:
    """A transaction may begin before the car is there: Available alone does not end it."""
    p.answers["GetTransactionStatus"] = {"messages_in_queue": False, "ongoing_indicator": True}
    await p.started("t", at("08:00"), 1_000, token=TOKEN, state=None)
    await day.until(at("08:01"))
    await p.status("Available", at("08:01"))
    await p.updated("t", at("08:01"), 1_000, state="EVConnected", trigger="CablePluggedIn")
    await day.until(at("08:30"))
    await p.updated("t", at("08:30"), 6_000)
    await day.until(at("11:00"))
    await p.ended("t", at("11:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert _asked(found) == [at("08:01")]
    assert found.codes == set()


@story(*TWO)
async def test_r10_the_next_start_ends_the_one_before(day: Day, p: Station) -> Script:
    await _hour(day, p)
    await p.started("u", at("09:00"), 8_000, token=TOKEN)
    await day.until(at("10:00"))
    await p.ended("u", at("10:00"), 9_000)
    found = yield
    assert [bill(s) for s in found.sessions] == [("billed", 5_000, 150), ("billed", 1_000, 30)]


# R11: beginnings and ends that are missing.


@story(*TWO)
async def test_r11_a_start_that_never_comes(day: Day, p: Station) -> Script:
    """What comes without it waits an hour for it, and is billed by the first reading there is:
    8,000 Wh since 08:15."""
    await day.until(at("09:00"))
    await p.updated("t", at("08:15"), 3_000, token=TOKEN, seq=1)
    await p.ended("t", at("09:00"), 11_000, seq=2)
    found = yield
    assert found.bill == ("billed", 8_000, 240)
    assert found.session["started_at"] == at("08:15")
    assert "start.missing" in found.codes
    assert found.session["documents"][0]["issued_at"] >= at("10:00")


@story(*TWO)
async def test_r11_a_start_that_comes_after_the_bill(day: Day, p: Station) -> Script:
    """2,000 Wh more than was known: the bill is adjusted."""
    start = p.event("Started", "t", at("08:00"), 1_000, token=TOKEN)
    await day.until(at("09:00"))
    await p.updated("t", at("08:15"), 3_000, token=TOKEN)
    await p.ended("t", at("09:00"), 11_000)
    await day.until(at("12:00"))
    await p.say(start)
    found = yield
    assert found.documents == [(8_000, 240), (-8_000, -240), (10_000, 300)]


@story(*TWO)
async def test_r11_a_transaction_of_updates_alone_is_not_lost(day: Day, p: Station) -> Script:
    """A day of silence after the last: then it is opened, asked about, and billed."""
    await day.until(at("09:00"))
    await p.updated("t", at("08:15"), 3_000, token=TOKEN, seq=4)
    await p.updated("t", at("08:45"), 8_000, seq=5)
    found = yield
    assert found.bill == ("billed", 5_000, 150)
    assert {"start.missing", "stop.missing"} <= found.codes


@story(*TWO)
async def test_r11_a_car_that_stands_there_for_days_may_still_be_let_in(
    day: Day, p: Station
) -> Script:
    """Plugged in on the 2nd, and silent; the driver comes on the 4th."""
    await p.started("t", at("08:00"), 1_000, state="EVConnected", trigger="CablePluggedIn")
    await day.until(at("09:00", 4))
    answer = await p.updated("t", at("09:00", 4), 1_000, token=TOKEN, trigger="Authorized")
    assert answer.id_token_info["status"] == "Accepted"
    await day.until(at("10:00", 4))
    await p.ended("t", at("10:00", 4), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()


@story(*TWO, site="idle")
async def test_r10_a_status_that_overtakes_the_end(day: Day, p: Station) -> Script:
    await p.started("t", at("08:00"), 1_000, token=TOKEN)
    await day.until(at("09:00:05"))
    await p.status("Available", at("09:00:01"))
    await p.ended("t", at("09:00"), 11_000, state=None)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == set()
    assert found.session["documents"][0]["issued_at"] == at("09:01:05")


@story(*TWO)
async def test_r11_an_end_without_a_register(day: Day, p: Station) -> Script:
    """The last reading before it is taken, and that is shown."""
    await _hour(day, p)
    await p.ended("t", at("09:00"))
    found = yield
    assert found.bill == ("billed", 5_000, 150)
    assert found.codes == {"end.missing"}


@story(*TWO)
async def test_r11_nobody_ever_said_who(day: Day, p: Station) -> Script:
    """No token in any event: energy that nobody owes, waived, and shown."""
    await p.started("t", at("08:00"), 1_000)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), 11_000)
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.session["contract"]["route"] == "none"
    assert [part["state"] for part in found.session["parts"]] == ["waived"]
    assert found.codes == {"token.missing"}


# R12: signed values.


def _signed(text: str, value: float, **more: Any) -> dict[str, Any]:
    held = {"signedMeterData": in_base64(text), "signingMethod": "ECDSA-secp256r1-SHA256",
            "encodingMethod": "OCMF", "publicKey": ""}  # fmt: skip
    return sample2(value, signedMeterValue=held, **more)


@story(*TWO, site="signed", meter_keys=(METER_KEY,))
async def test_r12_signed_values_count_first(day: Day, p: Station) -> Script:
    """11.5 - 1.5 kWh are signed; the raw values beside them say 9,000 Wh."""
    begin, end = record(("B", at("08:00"), "1.5")), record(("E", at("09:00"), "11.5"))
    await p.started("t", at("08:00"), _signed(begin, 2_000, **BEGIN), token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), _signed(end, 11_000, **END))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert [(s["verified"], s["data"]) for s in found.session["signed"]] == [
        (True, begin), (True, end),
    ]  # fmt: skip
    assert found.codes == {"meter.disagrees"}


@story(*TWO, meter_keys=(METER_KEY,))
async def test_r12_a_byte_that_was_changed(day: Day, p: Station) -> Script:
    begin = record(("B", at("08:00"), "1.5"))
    end = record(("E", at("09:00"), "11.5")).replace("11.5", "19.5")
    await p.started("t", at("08:00"), _signed(begin, 1_500, **BEGIN), token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), _signed(end, 11_500, **END))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert [s["verified"] for s in found.session["signed"]] == [True, False]
    assert found.codes == {"signature.invalid"}


@story(*TWO, site="signed", meter_keys=(METER_KEY,))
async def test_r12_where_signed_values_are_required_a_wrong_one_holds(
    day: Day, p: Station
) -> Script:
    begin = record(("B", at("08:00"), "1.5"))
    end = record(("E", at("09:00"), "11.5")).replace("11.5", "19.5")
    await p.started("t", at("08:00"), _signed(begin, 1_500, **BEGIN), token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), _signed(end, 11_500, **END))
    found = yield
    assert found.bill == ("held", 0, 0)
    assert found.codes == {"signature.invalid", "signature.missing"}


@story(*TWO)
async def test_r12_where_nobody_has_the_meters_key_it_is_kept_and_no_more(
    day: Day, p: Station
) -> Script:
    end = record(("B", at("08:00"), "1.5"), ("E", at("09:00"), "11.5"))
    await p.started("t", at("08:00"), 1_600, token=TOKEN)
    await day.until(at("09:00"))
    await p.ended("t", at("09:00"), _signed(end, 11_600, **END))
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert [(s["verified"], s["data"]) for s in found.session["signed"]] == [(False, end)]
    assert found.codes == set()


# R13: idle. 0.20 a minute after ten; 10 kWh are 300 cents.


def _idle(state: str) -> Any:
    """10 kWh until nine, then ``state`` until 09:40, when the car leaves."""

    async def told_(day: Day, p: Station) -> None:
        await p.started("t", at("08:00"), 1_000, token=TOKEN)
        await day.until(at("09:00"))
        await p.updated("t", at("09:00"), 11_000, state=state, trigger="ChargingStateChanged")
        await day.until(at("09:40"))
        await p.ended("t", at("09:40"), 11_000, state="Idle", **UNPLUGGED)

    return told_


@story(*TWO, site="idle")
async def test_r13_a_car_that_is_full_is_idle_after_the_grace(day: Day, p: Station) -> Script:
    """40 minutes less ten: 30 at 0.20."""
    await _idle("SuspendedEV")(day, p)
    found = yield
    assert found.bill == ("billed", 10_000, 300 + 600)
    assert found.codes == set()


@story(*TWO, site="idle")
async def test_r13_a_car_that_only_stays_connected_is_idle(day: Day, p: Station) -> Script:
    """EVConnected after it had charged."""
    await _idle("EVConnected")(day, p)
    found = yield
    assert found.bill == ("billed", 10_000, 300 + 600)


@story(*TWO, site="idle")
async def test_r13_a_pause_of_the_charger_is_not_idle(day: Day, p: Station) -> Script:
    await _idle("SuspendedEVSE")(day, p)
    found = yield
    assert found.bill == ("billed", 10_000, 300)


@story(*TWO, site="idle")
async def test_r13_a_state_that_the_meter_contradicts_loses(day: Day, p: Station) -> Script:
    await p.started("t", at("08:00"), 1_000, token=TOKEN)
    await day.until(at("08:10"))
    await p.updated("t", at("08:10"), 2_000, state="SuspendedEV")
    await day.until(at("08:40"))
    await p.ended("t", at("08:40"), 12_000, state=None, **UNPLUGGED)
    found = yield
    assert found.bill == ("billed", 11_000, 330)
    assert found.codes == {"status.contradicted"}


@story(*TWO, site="idle")
async def test_r13_idle_after_the_end_ends_with_the_unplug(day: Day, p: Station) -> Script:
    """The driver stops at 09:00 and leaves at 09:30: 20 minutes at 0.20."""
    await _hour(day, p)
    await p.ended("t", at("09:00"), 11_000, state="EVConnected")
    await p.status("Occupied", at("09:00"))
    await day.until(at("09:30"))
    await p.status("Available", at("09:30"))
    found = yield
    assert found.bill == ("billed", 10_000, 300 + 400)
    assert found.session["ended_at"] == at("09:30")


@story(*TWO, site="idle")
async def test_r13_without_proof_of_an_unplug_no_idle_is_billed(day: Day, p: Station) -> Script:
    await _hour(day, p)
    await p.ended("t", at("09:00"), 11_000, state="EVConnected")
    found = yield
    assert found.bill == ("billed", 10_000, 300)
    assert found.codes == {"unplug.missing"}


# R14, R15: nothing delivered; who may charge.


@story(*TWO)
async def test_r14_no_energy_is_free_and_the_hold_is_given_back(day: Day, p: Station) -> Script:
    assert await p.authorize(CARD) == "Accepted"
    await p.started("t", at("08:00"), 1_000, token=CARD)
    await day.until(at("08:02"))
    await p.ended("t", at("08:02"), 1_000)
    found = yield
    assert found.bill == ("free", 0, 0)
    assert [payment["state"] for payment in found.session["payments"]] == ["released"]


@story(*TWO)
async def test_r15_energy_for_a_refused_token_is_waived_and_counted(day: Day, p: Station) -> Script:
    answer = await p.started("t", at("08:00"), 1_000, token=BLOCKED)
    assert answer.id_token_info["status"] == "Blocked"
    await day.until(at("08:10"))
    await p.ended("t", at("08:10"), 3_000, stoppedReason="DeAuthorized")
    found = yield
    assert found.session["contract"]["route"] == "none"
    assert found.bill == ("billed", 2_000, 60)
    assert [(part["state"], part["amount_minor"]) for part in found.session["parts"]] == [
        ("waived", 60)
    ]


@story(*TWO)
async def test_r15_the_start_decides_again(day: Day, p: Station) -> Script:
    """Blocked at half past eight: what was accepted before is not any more."""
    await day.until(at("08:15"))
    assert await p.authorize(TURNCOAT) == "Accepted"
    await day.until(at("08:45"))
    answer = await p.started("t", at("08:45"), 1_000, token=TURNCOAT)
    assert answer.id_token_info["status"] == "Blocked"
    await p.ended("t", at("08:45"), 1_000, stoppedReason="DeAuthorized")
    found = yield
    assert found.bill == ("free", 0, 0)
