"""Transaction events as facts (2.0.1 part 2, E01 to E16)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from wattledger.sessions import Activity, events, from_ocpp2
from wattledger.wire.ocpp import v2

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)


def _event(kind: str = "Updated", *, seq: int = 1, trigger: str = "", **info: Any) -> Any:
    return v2.read(
        {"eventType": kind, "timestamp": "2026-11-02T12:00:00Z", "triggerReason": trigger,
         "seqNo": seq, "transactionInfo": {"transactionId": "t", **info}},
        v2.TransactionEvent,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "charged", "activity"),
    [
        ("Charging", False, Activity.CHARGING),
        ("SuspendedEV", True, Activity.VEHICLE_IDLE),
        ("SuspendedEVSE", True, Activity.CHARGER_PAUSE),
        ("EVConnected", False, None),  # about to charge
        ("EVConnected", True, Activity.VEHICLE_IDLE),  # only stays
        ("Idle", True, None),
        ("Strange", True, None),
        (None, True, None),
    ],
)
def test_what_a_charging_state_says(
    state: str | None, charged: bool, activity: Activity | None
) -> None:
    found = from_ocpp2.state("ses_1", _event(chargingState=state), AT, charged=charged)
    assert (found[0].activity if found else None) is activity


@pytest.mark.parametrize(
    ("event", "gone"),
    [
        (_event("Ended", stoppedReason="EVDisconnected"), True),
        (_event("Ended", trigger="EVDeparted"), True),
        (_event("Ended", chargingState="Idle"), True),
        (_event("Updated", chargingState="Idle"), False),
        (_event("Ended", stoppedReason="Local", chargingState="EVConnected"), False),
        (_event("Ended"), False),
    ],
)
def test_whether_an_event_proves_that_the_car_has_gone(event: Any, gone: bool) -> None:
    assert from_ocpp2.departed(event) is gone


def test_an_event_counts_by_its_content_and_never_by_its_number_alone() -> None:
    """R3: some stations say seqNo 0 each time."""
    one = from_ocpp2.event_key("CP", _event(seq=0), "digest 1")
    assert one == from_ocpp2.event_key("CP", _event(seq=0), "digest 1")
    assert one != from_ocpp2.event_key("CP", _event(seq=0), "digest 2")
    assert one != from_ocpp2.event_key("CQ", _event(seq=0), "digest 1")
    assert one != from_ocpp2.event_key("CP", _event("Ended", seq=0), "digest 1")


def test_a_session_is_of_its_station_transaction_and_generation() -> None:
    ids = {
        from_ocpp2.session_id(*named)
        for named in (("CP", "t", 1), ("CQ", "t", 1), ("CP", "u", 1), ("CP", "t", 2))
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ([], []), ([0], []), ([0, 0, 0], []), ([0, 1, 2], []), ([0, 3], [1, 2]),
        ([7, 9], [8]),  # a station may begin anywhere
        ([2, 0], [1]), ([0, 10**9], list(range(1, 101))),
    ],
)  # fmt: skip
def test_which_numbers_are_missing(numbers: list[int], missing: list[int]) -> None:
    assert events.gaps(set(numbers)) == missing
