"""What a charge point behind a proxy is told of a token, where our own decision counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from starts_yard import POINT, Yard, of
from wattledger.clock import DrivenClock
from wattledger.contract import Reason, Route
from wattledger.db.work import Work
from wattledger.gateway import v2, v16
from wattledger.gateway.connection import Peer
from wattledger.gateway.protocol import Protocol
from wattledger.gateway.proxy_seen import judged
from wattledger.payments.blocks import Blocks
from wattledger.wire.ocpp.frames import Call, CallResult


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    return await Yard.open(work, clock)


def _event(token: str) -> dict[str, Any]:
    return {"eventType": "Started", "idToken": {"idToken": token, "type": "Central"}}


async def _told(yard: Yard, protocol: Protocol, action: str, payload: dict[str, Any]) -> str:
    """The status, where the CPMS does not know the token."""
    name, theirs = ("idTagInfo", "Invalid") if action == "StartTransaction" else (
        "idTokenInfo", "Unknown")  # fmt: skip
    said = {name: {"status": theirs}}
    raw = json.dumps([3, "1", said])
    peer = Peer(yard.world, POINT, protocol)
    told = await judged(peer, "wattledger", Call("1", action, payload), CallResult("1", said), raw)
    return str(json.loads(told)[2][name]["status"])


async def test_the_token_of_a_start_is_known_on_an_event_and_on_a_1_6_start(yard: Yard) -> None:
    start = of(await yard.ask(route=Route.CHECKOUT))
    assert await _told(yard, v2.V201, "TransactionEvent", _event(start.token)) == "Accepted"
    assert await _told(yard, v16.PROTOCOL, "StartTransaction", {"idTag": start.token}) == "Accepted"
    assert await _told(yard, v2.V201, "TransactionEvent", _event("WL" + "A" * 18)) == "Unknown"


async def test_a_token_in_debt_is_refused_on_an_event_too(yard: Yard) -> None:
    assert await _told(yard, v2.V201, "TransactionEvent", _event("ANN")) == "Accepted"
    yard.world.blocks = Blocks(accounts={"ann": "in_debt"})
    assert await _told(yard, v2.V201, "TransactionEvent", _event("ANN")) == "NoCredit"


def test_every_reason_has_its_word_in_2_x() -> None:
    assert set(v2.STATUS) == set(Reason)
