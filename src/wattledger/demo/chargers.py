"""The charge points and the driver of business time, as a process of their own.

``python -m wattledger.demo.chargers PLAN.json`` replays the plan against a running server:
one heap of events over all charge points, in the order of business time. Before an event at
``t`` the server is told to move its clock to ``t``; it first finishes what is due. Commands
that arrive meanwhile put new events on the heap.

One JSON line on stdout per finished session, and one at the end with the charge points' own
record of what they delivered. Secrets come from the environment.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvloop

from wattledger.clock import utc_text
from wattledger.demo.connected import Connected
from wattledger.demo.cpms import external_body
from wattledger.demo.drivers import Driver
from wattledger.demo.paying import Desk, decide_for_us, present_card
from wattledger.demo.plan import Plan, Session
from wattledger.demo.points import ConnectedPoint
from wattledger.demo.posts import FromAfar, Record, Running, State
from wattledger.demo.setup import (
    CHARGERS_ENV,
    CPMS_KEY_ENV,
    DRIVER_KEY_ENV,
    STRIPE_KEY_ENV,
    SUPPORT_KEY_ENV,
    charger_password,
)
from wattledger.demo.stations import ConnectedStation
from wattledger.errors import ExternalFault

Happening = Callable[[datetime], Awaitable[None]]

_SPEAKS: dict[str, type[Connected]] = {
    each.version: each for each in (ConnectedPoint, ConnectedStation)
}
_REMOTE_STOP_DELAY = timedelta(seconds=30)
# A moment after a start or a reading the clock moves on, so that a stop it causes comes then
# and not with the next event, which at night may be an hour away.
_A_MOMENT = timedelta(seconds=1)
# At the same second a car leaves a post before the next one arrives.
_LEAVING, _STAYING, _ARRIVING = range(3)
# Moving the clock over a night may find a batch of work due, with its retries.
_CLOCK_TIMEOUT_S = 120


class Simulation:
    """The plan, replayed. ``say`` gets each line of progress."""

    def __init__(
        self,
        plan: Plan,
        http: httpx.AsyncClient,
        environment: dict[str, str],
        say: Callable[[dict[str, Any]], None],
    ) -> None:
        self._plan = plan
        self._http = http
        self._secret = environment[CHARGERS_ENV]
        self._driver_key = environment[DRIVER_KEY_ENV]
        self._cpms_key = environment[CPMS_KEY_ENV]
        self._stripe_key = environment[STRIPE_KEY_ENV]
        self._desk = Desk(http, environment[SUPPORT_KEY_ENV])
        self._say = say
        self._states = {post.id: State(post, post.register_wh) for post in plan.posts}
        self._heap: list[tuple[datetime, int, int, str, Happening]] = []
        self._order = itertools.count()
        self._now = plan.starts_at
        self.record = Record()

    async def run(self) -> None:
        """Everything in the plan; what goes wrong with one session is recorded, and the others
        go on. Raises ExternalFault when the clock can't be moved: nothing can happen then."""
        for session in self._plan.sessions:
            if session.external:
                self._at(session.departure, _LEAVING, session, self._report_external(session))
            else:
                self._at(session.arrival, _ARRIVING, session, self._arrive(session))
        while self._heap:
            at, _, _, key, happening = heapq.heappop(self._heap)
            await self._move_clock(at)
            try:
                await happening(at)
            except (ExternalFault, OSError) as error:
                self._fail(key, error)
        await self._close()
        for state in self._states.values():
            if state.point is not None:
                await state.point.close()

    async def _close(self) -> None:
        """The days after the last session."""
        disputes: list[str] = []
        for step, at in enumerate(self._plan.closing_steps):
            await self._move_clock(at)
            if step == 0:
                await self._make_good()
                disputes = await self._desk.answer_disputes()
            elif step == 1:
                for dispute_id in disputes:
                    await decide_for_us(self._http, self._plan.sandbox_url, dispute_id)

    def _at(self, at: datetime, rank: int, session: Session, happening: Happening) -> None:
        heapq.heappush(self._heap, (at, rank, next(self._order), session.key, happening))

    async def _move_clock(self, to: datetime) -> None:
        if to <= self._now:
            return
        # Set before the call: a command that arrives during it happens at the time moved to,
        # which the server's clock can't have passed.
        self._now = to
        await self._post("/v1/clock", {"now": utc_text(to)}, self._driver_key)

    async def _post(self, path: str, body: object, key: str, **headers: str) -> None:
        headers |= {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        try:
            answer = await self._http.post(path, content=json.dumps(body), headers=headers)
        except httpx.HTTPError as error:
            raise ExternalFault(f"POST {path}: {type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise ExternalFault(f"POST {path}: answered {answer.status_code}: {answer.text[:500]}")

    def _arrive(self, session: Session) -> Happening:
        async def happen(at: datetime) -> None:
            state = self._states[session.charge_point_id]
            point = await self._connected(state, at)
            await point.status("Preparing", at)
            if session.driver is Driver.TERMINAL:
                await self._pay_first(state, session, at)
                return
            if not await point.authorize(session.token):
                await point.status("Available", at)
                self._deliver(session, 0, refused=True)
                return
            await self._begin(state, session, session.token, at)

        return happen

    async def _begin(self, state: State, session: Session, token: str, at: datetime) -> None:
        point = self._point(session)
        ref, accepted = await point.start(token, at, state.register_wh)
        state.running = Running(session, ref, state.register_wh)
        if not accepted:  # blocked between the two questions: OCPP 1.6 §4.8
            self.record.refused += 1
            await self._end(state, at, "DeAuthorized")
            self._at(session.departure, _LEAVING, session, self._leave(session))
            return
        await point.status("Charging", at)
        self._schedule(session, at)

    async def _pay_first(self, state: State, session: Session, at: datetime) -> None:
        """The post is chosen at the reader, the card is held against it, and the start comes from
        afar: a second of business time for each, in which what it causes is done."""
        reader = self._plan.readers[session.site_id]
        state.waiting = True
        await self._desk.start_at_terminal(state.post.id, reader, session.key)

        async def present(_: datetime) -> None:
            await present_card(self._http, self._plan.sandbox_url, self._stripe_key, reader)

        async def begin(now: datetime) -> None:
            token, state.token, state.waiting = state.token, None, False
            if token is None:
                raise ExternalFault(f"{state.post.id}: paid at the terminal, and not started")
            await self._begin(state, session, token, now)

        for seconds, happening in enumerate((present, _nothing, _nothing, begin), start=1):
            self._at(at + seconds * _A_MOMENT, _STAYING, session, happening)

    async def _make_good(self) -> None:
        """The support desk gives something back, for a session of each kind of card."""
        for route in ("card", "terminal"):
            session_id = await self._desk.first_paid_session(route)
            if session_id is not None:
                await self._desk.refund(session_id, 200, "the display was broken")

    def _schedule(self, session: Session, at: datetime) -> None:
        """All that is known to come in a session that has just begun."""
        self._at(at + _A_MOMENT, _STAYING, session, _nothing)
        for sample_at in session.samples():
            self._at(sample_at, _STAYING, session, self._sample(session))
        if session.charged < session.stop:
            self._at(session.charged, _STAYING, session, self._full(session))
        self._at(session.stop, _LEAVING, session, self._stop(session, session.stop_reason))
        self._at(session.departure, _LEAVING, session, self._leave(session))

    def _sample(self, session: Session) -> Happening:
        async def happen(at: datetime) -> None:
            if (running := self._running(session)) is None or running.stopped:
                return
            power_w = session.power_w if at < session.charged else 0
            register_wh = running.start_register_wh + session.delivered_wh(at)
            await self._point(session).meter(running.ref, at, register_wh, power_w)
            self._at(at + _A_MOMENT, _STAYING, session, _nothing)

        return happen

    def _full(self, session: Session) -> Happening:
        async def happen(at: datetime) -> None:
            if (running := self._running(session)) is not None and not running.stopped:
                register_wh = running.start_register_wh + session.delivered_wh(at)
                await self._point(session).meter(running.ref, at, register_wh, 0)
                await self._point(session).status("SuspendedEV", at)

        return happen

    def _stop(self, session: Session, reason: str) -> Happening:
        async def happen(at: datetime) -> None:
            if (running := self._running(session)) is not None and not running.stopped:
                await self._end(self._states[session.charge_point_id], at, reason)

        return happen

    async def _end(self, state: State, at: datetime, reason: str) -> None:
        """The transaction ends here; the car may stay."""
        running, point = state.running, state.point
        if running is None or point is None:
            return
        session = running.plan
        energy_wh = 0 if reason == "DeAuthorized" else session.delivered_wh(at)
        state.register_wh = running.start_register_wh + energy_wh
        running.stopped = True
        # Before the message: what the post has delivered does not depend on who was told.
        ref = running.ref
        self._deliver(session, energy_wh, ref=ref, remote=reason == "Remote")
        await point.stop(
            ref,
            token=session.token if reason == "Local" else None,
            reason=reason,
            began=(session.arrival, running.start_register_wh),
            ended=(at, state.register_wh),
        )
        if at < session.departure:
            await point.status("Finishing", at)

    def _leave(self, session: Session) -> Happening:
        async def happen(at: datetime) -> None:
            self._states[session.charge_point_id].running = None
            await self._point(session).status("Available", at)

        return happen

    def _report_external(self, session: Session) -> Happening:
        async def happen(_: datetime) -> None:
            state = self._states[session.charge_point_id]
            body = external_body(session, state.register_wh)
            state.register_wh += session.energy_wh
            self._deliver(session, session.energy_wh, external_id=body["session_id"])
            key = {"Idempotency-Key": f"burbank-{body['session_id']}"}
            await self._post("/v1/sessions", body, self._cpms_key, **key)

        return happen

    async def _connected(self, state: State, at: datetime) -> Connected:
        if state.point is None:
            post_id = state.post.id
            state.point = await _SPEAKS[state.post.version].connect(
                self._plan.ocpp_url,
                post_id,
                charger_password(self._secret, post_id),
                FromAfar(
                    lambda token: self._remote_start(state, token),
                    lambda ref: self._remote_stop(state, ref),
                ),
            )
            await state.point.boot(state.post.power_w)
            await state.point.status("Available", at)
        return state.point

    def _remote_start(self, state: State, token: str) -> bool:
        """Whether somebody waits here who has paid."""
        if state.waiting:
            state.token = token
        return state.waiting

    def _remote_stop(self, state: State, ref: str) -> bool:
        """Whether the transaction runs here; if so, it will have ended half a minute from now."""
        running = state.running
        if running is None or running.stopped or running.ref != ref:
            return False
        at = self._now + _REMOTE_STOP_DELAY
        self._at(at, _LEAVING, running.plan, self._stop(running.plan, "Remote"))
        return True

    def _point(self, session: Session) -> Connected:
        point = self._states[session.charge_point_id].point
        if point is None:
            raise ExternalFault(f"{session.charge_point_id} is not connected")
        return point

    def _running(self, session: Session) -> Running | None:
        running = self._states[session.charge_point_id].running
        return running if running is not None and running.plan is session else None

    def _deliver(
        self,
        session: Session,
        energy_wh: int,
        *,
        ref: str | None = None,
        external_id: str | None = None,
        refused: bool = False,
        remote: bool = False,
    ) -> None:
        record = self.record
        record.refused += refused
        record.done += 1
        record.delivered.append(
            {
                "key": session.key,
                "charge_point_id": session.charge_point_id,
                "transaction_ref": ref,
                "external_id": external_id,
                "energy_wh": energy_wh,
                "stopped_from_afar": remote,
            }
        )
        of = len(self._plan.sessions)
        self._say({"done": record.done, "of": of, "now": utc_text(self._now)})

    def _fail(self, key: str, error: Exception) -> None:
        self.record.errors.append(f"session {key} at {utc_text(self._now)}: {error}")


async def _nothing(_: datetime) -> None:
    """Only the clock moves."""


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


async def replay(plan: Plan, environment: dict[str, str]) -> None:
    """Run the plan and print the record; ExternalFault ends it early, after its last line."""
    async with httpx.AsyncClient(
        base_url=plan.http_url, timeout=_CLOCK_TIMEOUT_S, trust_env=False
    ) as http:
        simulation = Simulation(plan, http, environment, _say)
        await simulation.run()
    record = simulation.record
    _say(
        {
            "finished": True,
            "delivered": record.delivered,
            "refused": record.refused,
            "errors": record.errors,
        }
    )


def main(argv: list[str]) -> int:
    """0 when the whole plan was replayed, however the sessions went."""
    if len(argv) != 1:
        print("usage: python -m wattledger.demo.chargers PLAN.json", file=sys.stderr)
        return 2
    try:
        plan = msgspec.json.decode(Path(argv[0]).read_bytes(), type=Plan)
        uvloop.run(replay(plan, dict(os.environ)))
    except (ExternalFault, OSError, KeyError, msgspec.DecodeError) as error:
        print(f"the charge points gave up: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
