"""A start that is paid first: the hold, then the remote start, then the session; and every way in
which it can fail, with one hold at most."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from starts_yard import POINT, T0, Yard, of
from wattledger.clock import DrivenClock, utc_text
from wattledger.contract import Reason, Route
from wattledger.db.effects import Done, Rejected
from wattledger.db.work import Work
from wattledger.errors import Conflict
from wattledger.payments import blocks, starts_store
from wattledger.pipeline.charging import events
from wattledger.pipeline.charging.remote_start import remote_start
from wattledger.pipeline.starting import ask_start, start_view, starts
from wattledger.wire.ocpp import v2


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    return await Yard.open(work, clock)


async def test_an_app_holds_first_and_its_session_is_paid_by_that_hold(yard: Yard) -> None:
    start = of(await yard.ask(email="ann@example.com", consent=True))
    assert (start.state, start.driver) == ("paying", "ann")
    assert await yard.asked_of("ocpp.remote_start") == [], "no remote start without a hold"
    (request,) = await yard.asked_of("stripe.hold")
    params = request["params"]
    assert (params["amount"], params["customer"]) == (2500, "cus_1")
    assert params["payment_method"] == "pm_1"
    assert "off_session" not in params, "the driver is there, and can authenticate"

    await yard.held()
    (told,) = await yard.asked_of("ocpp.remote_start")
    assert told["token"] == start.token
    assert len(start.token) <= 20
    assert start.token == start.token.upper()
    await yard.told()
    begun = await yard.begin(start.token.lower())
    assert begun.reason is Reason.ACCEPTED
    (session,) = await yard.rows("SELECT * FROM session")
    contract = session["contract"]
    assert (session["route"], contract["account_id"]) == ("app", "ann")
    assert (contract["start_id"], contract["email"]) == (start.id, "ann@example.com")
    assert (contract["consent"], contract["hold_minor"]) == (True, 2500)
    assert await yard.payments() == [("held", 2500, True)], "no second hold"
    assert (await yard.start(start.id))["session_id"] == session["id"]
    await yard.pass_time(600)
    assert await yard.asked_of("stripe.release") == []


async def test_a_start_counts_once_and_its_token_begins_one_session(yard: Yard) -> None:
    start = of(await yard.ask())
    assert of(await yard.ask()).id == start.id
    with pytest.raises(Conflict, match="another start"):
        await yard.ask(connector_id=2)
    await yard.held()
    await yard.begin(start.token)
    yard.clock.advance(T0.replace(minute=5))
    again = await yard.begin(start.token)
    assert again.reason is Reason.UNKNOWN_TOKEN
    assert len(await yard.payments()) == 1


async def test_a_guest_pays_at_the_page(yard: Yard) -> None:
    start = of(await yard.ask(route=Route.CHECKOUT, consent=True))
    (request,) = await yard.asked_of("stripe.intent")
    assert request["params"]["allowed_payment_method_types"] == ["card"]
    assert request["params"]["setup_future_usage"] == "off_session"
    assert "confirm" not in request["params"]
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "requires_pm"}))
    assert await yard.payments() == [("waiting", 2500, False)]
    assert await yard.asked_of("ocpp.remote_start") == []
    # The driver confirms in the browser; the intent is read, and another time to no effect.
    assert await start_view.look(yard.world, start)
    assert not await start_view.look(yard.world, start), "one reading is on its way"
    await yard.seen("requires_capture", fingerprint="fp_1")
    await yard.seen("requires_capture", fingerprint="fp_1")
    assert len(await yard.asked_of("ocpp.remote_start")) == 1
    assert (await yard.start(start.id))["driver"] == "fp_1"
    await yard.begin(start.token)
    (session,) = await yard.rows("SELECT * FROM session")
    assert (session["route"], session["account_id"]) == ("checkout", None)
    assert session["contract"]["plan_id"] == "walk-up"


@pytest.mark.parametrize("code", ["Rejected", "no_answer", "expired", "Occupied"])
async def test_a_start_that_is_refused_gives_its_hold_back_within_a_minute(
    yard: Yard, code: str
) -> None:
    start = of(await yard.ask())
    await yard.held()
    await yard.not_told(code)
    found = await yard.start(start.id)
    assert (found["state"], found["why"]) == ("failed", code)
    await yard.pass_time(44)
    assert await yard.payments() == [("held", 2500, False)], "kept for another try"
    await yard.pass_time(1)
    assert await yard.payments() == [("releasing", 2500, False)]
    assert len(await yard.asked_of("stripe.release")) == 1


async def test_no_session_within_the_connection_time_out(yard: Yard) -> None:
    start = of(await yard.ask())
    await yard.held()
    await yard.pass_time(20)
    await yard.told()  # the 60 s begin when the charge point has accepted
    await yard.pass_time(59)
    assert (await yard.start(start.id))["state"] == "starting"
    await yard.pass_time(1)
    found = await yard.start(start.id)
    assert (found["state"], found["why"]) == ("expired", "no_session")
    await yard.pass_time(45)
    assert await yard.payments() == [("releasing", 2500, False)]


async def test_a_charge_point_that_is_away_is_given_up_too(yard: Yard) -> None:
    start = of(await yard.ask())
    await yard.held()
    await yard.pass_time(60)
    assert (await yard.start(start.id))["state"] == "expired"


async def test_three_failed_starts_leave_one_hold(yard: Yard) -> None:
    first = of(await yard.ask("1"))
    await yard.held()
    await yard.not_told()
    for name in ("2", "3"):
        yard.clock.advance(yard.clock.now().replace(second=yard.clock.now().second + 10))
        start = of(await yard.ask(name))
        assert (start.state, start.payment_id) == ("starting", first.payment_id)
        await yard.not_told()
    assert len(await yard.asked_of("stripe.hold")) == 1, "no second hold is asked for"
    # The first failure was at 0 s, the last at 20 s: released 45 s after the last.
    await yard.pass_time(44)
    assert await yard.payments() == [("held", 2500, False)]
    await yard.pass_time(1)
    assert await yard.payments() == [("releasing", 2500, False)]


async def test_a_retry_that_begins_is_paid_by_the_hold_of_before(yard: Yard) -> None:
    first = of(await yard.ask("1"))
    await yard.held()
    await yard.not_told()
    second = of(await yard.ask("2"))
    await yard.begin(second.token)
    await yard.pass_time(120)
    assert await yard.payments() == [("held", 2500, True)]
    assert (await yard.start(first.id))["state"] == "failed"
    # The first one's session comes all the same: it has no hold, and is asked for one of its own.
    late = await yard.begin(first.token)
    assert late.reason is Reason.ACCEPTED
    assert await yard.payments() == [("held", 2500, True), ("holding", 2500, True)]


async def test_a_hold_that_is_too_small_or_of_another_entity_is_not_reused(
    work: Work, clock: DrivenClock
) -> None:
    rule = {"hold": "30.00", "charge_points": ["D-2"]}
    yard = await Yard.open(work, clock, payment=[rule])
    of(await yard.ask("1"))
    await yard.held()
    await yard.not_told()
    of(await yard.ask("2", charge_point_id="D-2"))
    requests = await yard.asked_of("stripe.hold")
    assert [each["params"]["amount"] for each in requests] == [2500, 3000]


async def test_a_guest_is_known_by_the_card_once_it_is_held_again(yard: Yard) -> None:
    for name in ("1", "2", "3"):
        start = of(await yard.ask(name, route=Route.CHECKOUT))
        await yard.answer("stripe.intent", Done({"intent_id": f"pi_{name}", "status": "x"}))
        await yard.seen("requires_capture", start.payment_id, fingerprint="fp_1")
        await yard.not_told()
    states = [state for state, _, _ in await yard.payments()]
    assert sorted(states) == ["held", "releasing", "releasing"]


@pytest.mark.parametrize("why", ["in_debt", "blocked"])
async def test_a_guest_whose_card_is_blocked_is_refused_once_it_is_known(
    yard: Yard, why: str
) -> None:
    """Nothing is told to the charge point, and the hold goes back at once."""
    async with yard.world.work.transaction("x") as tx:
        await blocks.set_block(
            tx.conn, None, None, "fp_1", blocked=True, why_text=why, cause="chg_9/1", at=tx.now
        )
    for name, card in (("1", "fp_1"), ("2", "fp_2")):
        start = of(await yard.ask(name, route=Route.CHECKOUT))
        await yard.answer("stripe.intent", Done({"intent_id": f"pi_{name}", "status": "x"}))
        await yard.seen("requires_capture", start.payment_id, fingerprint=card)
        found = await yard.start(start.id)
        expected = ("declined", why) if card == "fp_1" else ("starting", None)
        assert (found["state"], found["why"]) == expected
    assert sorted(state for state, _, _ in await yard.payments()) == ["held", "releasing"]
    assert len(await yard.asked_of("ocpp.remote_start")) == 1


async def test_a_guest_who_owes_by_now_does_not_go_on_with_the_hold_of_before(yard: Yard) -> None:
    first = of(await yard.ask("1", route=Route.CHECKOUT))
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
    await yard.seen("requires_capture", fingerprint="fp_1")
    await yard.not_told()
    async with yard.world.work.transaction("x") as tx:
        await blocks.set_block(
            tx.conn, None, None, "fp_1", blocked=True, why_text="in_debt", cause="c", at=tx.now
        )
    second = of(await yard.ask("2", route=Route.CHECKOUT, retry_of=first.id))
    assert second.state == "paying"
    assert second.payment_id != first.payment_id


async def test_a_guests_retry_by_the_same_browser_holds_no_second_time(yard: Yard) -> None:
    first = of(await yard.ask("1", route=Route.CHECKOUT))
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
    await yard.seen("requires_capture", fingerprint="fp_1")
    await yard.not_told()
    second = of(await yard.ask("2", route=Route.CHECKOUT, retry_of=first.id))
    assert (second.state, second.payment_id) == ("starting", first.payment_id)
    assert len(await yard.asked_of("stripe.intent")) == 1


async def test_a_session_that_begins_after_we_gave_up_is_paid_by_the_hold_while_it_lives(
    yard: Yard,
) -> None:
    start = of(await yard.ask())
    await yard.held()
    await yard.told()
    await yard.pass_time(60)
    assert (await yard.start(start.id))["state"] == "expired"
    await yard.begin(start.token)
    assert (await yard.start(start.id))["state"] == "started"
    await yard.pass_time(120)
    assert await yard.payments() == [("held", 2500, True)], "the session wins"


async def test_a_guests_session_after_the_release_is_priced_and_has_no_hold(yard: Yard) -> None:
    start = of(await yard.ask(route=Route.CHECKOUT))
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
    await yard.seen("requires_capture", fingerprint="fp_1")
    await yard.told()
    await yard.pass_time(105)  # 60 s for the session, 45 s for another try
    begun = await yard.begin(start.token)
    assert begun.reason is Reason.ACCEPTED
    (session,) = await yard.rows("SELECT * FROM session")
    assert (session["route"], session["contract"].get("hold_minor", 0)) == ("checkout", 0)
    assert await yard.payments() == [("releasing", 2500, False)]


async def test_a_card_that_is_declined_starts_nothing(yard: Yard) -> None:
    start = of(await yard.ask())
    await yard.answer("stripe.hold", Rejected({"code": "card_declined", "intent_id": "pi_1"}))
    found = await yard.start(start.id)
    assert (found["state"], found["why"]) == ("declined", "card_declined")
    assert await yard.asked_of("ocpp.remote_start") == []
    begun = await yard.begin(start.token)
    assert begun.reason is Reason.UNKNOWN_TOKEN


async def test_a_driver_authenticates_in_the_app(yard: Yard) -> None:
    start = of(await yard.ask())
    await yard.answer("stripe.hold", Done({"status": "requires_action", "intent_id": "pi_1"}))
    async with yard.world.work.pool.connection() as conn:
        seen = await start_view.see(yard.world, conn, start)
    assert start_view.needs(seen) == "authentication"
    await yard.seen("requires_action", decline_code=None)
    assert (await yard.start(start.id))["state"] == "paying"
    await yard.seen("requires_capture")
    assert (await yard.start(start.id))["state"] == "starting"


async def test_a_driver_who_fails_to_authenticate_is_declined(yard: Yard) -> None:
    start = of(await yard.ask())
    await yard.answer("stripe.hold", Done({"status": "requires_action", "intent_id": "pi_1"}))
    await yard.seen("requires_payment_method", decline_code="authentication_required")
    assert (await yard.start(start.id))["why"] == "authentication_required"
    assert [state for state, _, _ in await yard.payments()] == ["declined"]
    # In the app it could be confirmed still, and would hold for nobody.
    [given_up] = await yard.asked_of("stripe.release")
    assert given_up["intent_id"] == "pi_1"
    await yard.answer("stripe.release", Done({"status": "canceled"}))
    assert [state for state, _, _ in await yard.payments()] == ["declined"]


async def test_a_card_that_never_comes(yard: Yard) -> None:
    start = of(await yard.ask(route=Route.CHECKOUT))
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
    await yard.pass_time(600)
    found = await yard.start(start.id)
    assert (found["state"], found["why"]) == ("expired", "no_card")
    assert await yard.payments() == [("releasing", 2500, False)]


async def test_what_the_processor_answers_after_we_gave_up_is_given_back(yard: Yard) -> None:
    start = of(await yard.ask())
    await yard.pass_time(600)
    assert (await yard.start(start.id))["state"] == "expired"
    await yard.held()
    assert await yard.payments() == [("releasing", 2500, False)]
    assert await yard.asked_of("ocpp.remote_start") == []


@pytest.mark.parametrize(("held_minor", "state"), [(1_500, "starting"), (1_499, "declined")])
async def test_a_card_that_holds_less_than_was_asked(
    work: Work, clock: DrivenClock, held_minor: int, state: str
) -> None:
    yard = await Yard.open(work, clock, payment=[{"hold": "25.00", "least_hold": "15.00"}])
    start = of(await yard.ask())
    await yard.held(minor=held_minor)
    assert (await yard.start(start.id))["state"] == state
    if state == "declined":
        assert await yard.payments() == [("releasing", 2500, False)]
        return
    await yard.begin(start.token)
    (session,) = await yard.rows("SELECT contract FROM session")
    assert session["contract"]["hold_minor"] == 1_500, "the ceiling is what is held"


async def test_cancelled_before_and_after_the_charge_point_was_told(yard: Yard) -> None:
    first = of(await yard.ask("1"))
    await yard.held()
    await starts.cancel(yard.world, first.id, actor="key:app")
    assert await yard.payments() == [("releasing", 2500, False)], "the command was taken back"
    second = of(await yard.ask("2"))
    await yard.held(intent="pi_2")
    await yard.told()
    await starts.cancel(yard.world, second.id, actor="key:app")
    states = [state for state, _, _ in await yard.payments()]
    assert sorted(states) == ["held", "releasing"], "it may begin all the same"
    await yard.begin(second.token)
    with pytest.raises(Conflict, match="stop that"):
        await starts.cancel(yard.world, second.id, actor="key:app")
    acts = await yard.rows("SELECT actor, act FROM money_act ORDER BY id")
    assert [row["act"] for row in acts] == ["start.cancel", "start.cancel"]


async def test_whoever_needs_no_card_is_started_at_once(yard: Yard) -> None:
    start = of(await yard.ask(account_id="acme", charge_point_id="Y-1"))
    assert (start.state, start.payment_id) == ("starting", None)
    assert await yard.payments() == []


async def test_who_may_not_start(yard: Yard) -> None:
    for reason, more in (
        (Reason.UNKNOWN_TOKEN, {"account_id": "nobody"}),
        (Reason.BLOCKED, {"account_id": "lost"}),
        (Reason.UNKNOWN_LOCATION, {"charge_point_id": "X-9"}),
        (Reason.NO_PAYMENT_METHOD, {"charge_point_id": "Y-1"}),
    ):
        asked = await yard.ask(f"{reason}", **more)
        assert (asked.reason, asked.start) == (reason, None)
    assert await yard.payments() == []


async def test_where_another_cpms_alone_commands_nothing_is_started_by_us(
    work: Work, clock: DrivenClock
) -> None:
    proxy = {"url": "wss://cpms.example.com/{charge_point_id}"}
    yard = await Yard.open(work, clock, site__0__proxy=proxy)
    assert (await yard.ask()).reason is Reason.NO_ROUTE
    assert await yard.payments() == []
    yard = await Yard.open(work, clock, site__0__proxy={**proxy, "commands": True})
    assert (await yard.ask()).reason is Reason.ACCEPTED


async def test_nobody_goes_on_with_another_drivers_hold(yard: Yard) -> None:
    ann = of(await yard.ask("1"))
    await yard.held()
    await yard.not_told()
    guest = of(await yard.ask("2", route=Route.CHECKOUT, retry_of=ann.id))
    assert (guest.state, guest.payment_id == ann.payment_id) == ("paying", False)


async def test_a_site_without_a_plan_for_guests(work: Work, clock: DrivenClock) -> None:
    yard = await Yard.open(work, clock, plan__0__ad_hoc=False)
    asked = await yard.ask(route=Route.CHECKOUT)
    assert asked.reason is Reason.NO_ROUTE


async def test_a_remote_start_of_a_card_holds_first_and_keeps_its_id(yard: Yard) -> None:
    asked = await remote_start(yard.world, POINT, "ANN", 1, "ref")
    assert asked.reason is Reason.ACCEPTED
    assert await yard.asked_of("ocpp.remote_start") == []
    (request,) = await yard.asked_of("stripe.hold")
    assert request["params"]["error_on_requires_action"], "nobody is there to authenticate"
    await yard.held()
    (command,) = await yard.rows("SELECT key FROM effect WHERE kind = 'ocpp.remote_start'")
    assert command["key"] == asked.command_id
    assert await remote_start(yard.world, POINT, "ANN", 1, "ref") == asked, "it counts once"


async def test_tokens_of_ours_are_told_apart_without_the_database() -> None:
    token = starts_store.token_for("sta_1", "n")
    assert starts_store.is_ours(token)
    assert starts_store.is_ours(token.lower())
    assert token != starts_store.token_for("sta_1", "m"), "a reference alone opens nothing"
    for other in ("ANN", "WL", "WL123", "", token + "A", utc_text(T0)):
        assert not starts_store.is_ours(other)


async def _event(yard: Yard, kind: str, number: int, **more: Any) -> Reason | None:
    """An OCPP 2.1 station says an event of its transaction."""
    payload = {
        "eventType": kind, "timestamp": utc_text(yard.world.now), "seqNo": number,
        "triggerReason": "RemoteStart", "evse": {"id": 1, "connectorId": 1},
        "transactionInfo": {"transactionId": "tx-1", "chargingState": "EVConnected"}, **more,
    }  # fmt: skip
    message = v2.read(payload, v2.TransactionEvent)
    raw = msgspec.json.encode(payload)
    return (await events.take(yard.world, POINT, "ocpp2.1", message, raw)).reason


@pytest.mark.parametrize("later", [False, True])
async def test_a_station_of_2_1_says_the_token_at_once_or_later(yard: Yard, *, later: bool) -> None:
    start = of(await yard.ask())
    await yard.held()
    await yard.told()
    token = {"idToken": {"idToken": start.token, "type": "Central"}}
    if later:
        assert await _event(yard, "Started", 0) is None
        yard.clock.advance(T0.replace(second=5))
        assert await _event(yard, "Updated", 1, **token) is Reason.ACCEPTED
    else:
        assert await _event(yard, "Started", 0, **token) is Reason.ACCEPTED
    assert await yard.payments() == [("held", 2500, True)]
    assert (await yard.start(start.id))["state"] == "started"
    yard.clock.advance(T0.replace(second=10))
    assert await _event(yard, "Updated", 2, **token) is Reason.ACCEPTED, "said again"


async def test_a_hold_that_another_try_takes_over_is_not_given_back_meanwhile(
    work: Work, clock: DrivenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest's second card payment stands, at the other connector, while the first one's hold goes
    on with a third try."""
    yard = await Yard.open(work, clock, site__0__charge_points__0__connectors=2)
    first = of(await yard.ask("1", route=Route.CHECKOUT))
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
    await yard.seen("requires_capture", first.payment_id, fingerprint="fp_1")
    await yard.not_told()
    yard.clock.advance(yard.clock.now() + timedelta(seconds=5))
    second = of(await yard.ask("2", route=Route.CHECKOUT, connector_id=2))
    await yard.answer("stripe.intent", Done({"intent_id": "pi_2", "status": "x"}))
    found, go_on, tell = asyncio.Event(), asyncio.Event(), ask_start.tell

    async def slowly(*given: Any) -> Any:
        found.set()
        await go_on.wait()
        return await tell(*given)

    monkeypatch.setattr(ask_start, "tell", slowly)
    asking = asyncio.create_task(yard.ask("3", route=Route.CHECKOUT, retry_of=first.id))
    await found.wait()
    seeing = asyncio.create_task(
        yard.seen("requires_capture", second.payment_id, fingerprint="fp_1")
    )
    await asyncio.wait({seeing}, timeout=0.3)
    go_on.set()
    third = of(await asking)
    await seeing
    assert third.payment_id == first.payment_id
    assert await yard.payments() == [("held", 2500, False), ("held", 2500, False)]


async def test_the_alarm_of_a_failed_start_leaves_the_hold_of_the_one_that_goes_on(
    yard: Yard,
) -> None:
    """All of them asked for in one moment: whichever is live counts."""
    await yard.ask("0")
    await yard.held()
    for name in range(1, 7):
        await yard.not_told()
        assert of(await yard.ask(str(name))).state == "starting"
    await yard.pass_time(46)
    assert await yard.payments() == [("held", 2500, False)]
