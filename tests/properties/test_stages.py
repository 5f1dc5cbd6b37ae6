"""Order never matters where it must not, and what comes from outside never surprises."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattledger.energy import Reading
from wattledger.entitlements.directory import Directory
from wattledger.errors import BadInput, Malformed
from wattledger.reconciliation.legs import explain
from wattledger.reconciliation.match import match
from wattledger.reconciliation.model import Item
from wattledger.section import Activation
from wattledger.sessions import Activity, Fact, assemble
from wattledger.wire.ocpp import frames, v16

START = datetime(2026, 11, 2, 12, tzinfo=UTC)
MOMENTS = st.integers(-2, 8).map(lambda n: START + timedelta(minutes=n))
ONE_START = Fact("start", START, 100)
FACTS = st.lists(
    st.one_of(
        st.builds(Fact, st.just("meter"), MOMENTS, st.integers(90, 130)),
        st.builds(Fact, st.just("status"), MOMENTS, activity=st.sampled_from(Activity)),
        st.builds(Fact, st.just("unplug"), MOMENTS),
    ),
    max_size=8,
)
STOPS = st.none() | st.builds(Fact, st.just("stop"), MOMENTS, st.integers(95, 140))


@given(FACTS, STOPS, st.booleans(), st.data())
def test_a_delivery_does_not_depend_on_the_order_or_number_of_messages(
    facts: list[Fact], stop: Fact | None, idle: bool, data: st.DataObject
) -> None:
    known = [ONE_START, *facts, *([stop] if stop else [])]
    again = data.draw(st.permutations([*known, *data.draw(st.lists(st.sampled_from(known)))]))
    first = assemble("s", "UTC", known, idle_after_stop=idle)
    assert assemble("s", "UTC", again, idle_after_stop=idle) == first


@given(FACTS, STOPS, st.booleans())
def test_a_delivery_is_in_order_and_its_registers_never_fall(
    facts: list[Fact], stop: Fact | None, idle: bool
) -> None:
    found = assemble(
        "s", "UTC", [ONE_START, *facts, *([stop] if stop else [])], idle_after_stop=idle
    )
    judged, found = found, found.delivery
    if found is None:
        return
    assert found.readings[0] == Reading(START, 100)
    times = [r.at for r in found.readings]
    registers = [r.register_wh for r in found.readings]
    assert times == sorted(times)
    assert registers == sorted(registers)
    assert found.ended_at >= found.readings[-1].at
    assert found.changes[0].at == START
    assert all(a.at < b.at for a, b in zip(found.changes, found.changes[1:], strict=False))
    if stop is not None and not {"register.reset", "register.rollover"} & {
        note.code for note in judged.notes
    }:
        assert registers[-1] == stop.register_wh


ITEMS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(-3, 3), st.sampled_from(["north", "south"])),
    max_size=6,
)


def _items(side: str, rows: list[tuple[str, int, str]]) -> list[Item]:
    return [Item(f"{side}{n}", key, amount, entity, "USD")
            for n, (key, amount, entity) in enumerate(rows)]  # fmt: skip


@given(ITEMS, ITEMS, st.data())
def test_matching_does_not_depend_on_order(
    left: list[tuple[str, int, str]], right: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    ours, theirs = _items("o", left), _items("t", right)
    mixed = match(
        data.draw(st.permutations(ours)), data.draw(st.permutations(theirs)), explain("processor")
    )
    assert mixed == match(ours, theirs, explain("processor"))


@given(ITEMS, ITEMS)
def test_every_item_is_in_one_match_or_under_one_break_and_matches_agree_to_the_cent(
    left: list[tuple[str, int, str]], right: list[tuple[str, int, str]]
) -> None:
    items = {i.id: i for i in (*_items("o", left), *_items("t", right))}
    matches, breaks = match(_items("o", left), _items("t", right), explain("processor"))
    matched = Counter(i for m in matches for i in (*m.ours, *m.theirs))
    assert set(matched.values()) <= {1}
    broken = Counter(items[b.item_id].key for b in breaks)
    assert set(broken.values()) <= {1}
    for item in items.values():
        assert (item.id in matched) != (item.key in broken)
    for found in matches:
        assert found.ours
        assert found.theirs
        assert sum(items[i].amount for i in found.ours) == sum(
            items[i].amount for i in found.theirs
        )
        assert {items[i].entity_id for i in (*found.ours, *found.theirs)} == {found.entity_id}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.none() | st.integers(0, 9))),
    st.integers(-1, 6),
    st.data(),
)
def test_what_was_in_force_is_the_last_word_said_for_that_time(
    rows: list[tuple[int, str, int | None]], asked: int, data: st.DataObject
) -> None:
    def at(day: int) -> datetime:
        return START + timedelta(days=day)

    entries = [
        Activation(seq, "plan", key, at(day), None if n is None else str(n), None)
        for seq, (day, key, n) in enumerate(rows, start=1)
    ]
    expected: dict[str, str | None] = {}
    for day in range(asked + 1):  # day by day, each in the order in which it was written
        expected |= {key: None if n is None else str(n) for d, key, n in rows if d == day}
    directory = Directory(data.draw(st.permutations(entries)))
    for _ in range(2):  # the second time from memory
        snapshot = directory.at(at(asked))
        assert {key: snapshot.digest("plan", key) for key in "ab"} == {
            key: expected.get(key) for key in "ab"
        }
    assert snapshot.seq == len(rows)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
FRAMES = st.text(max_size=60) | JSON.map(json.dumps) | st.lists(
    st.sampled_from([2, 3, 4, "id", "Heartbeat", "", {}, {"a": 1}, None, True, "x" * 37]),
    max_size=6,
).map(json.dumps)  # fmt: skip


@given(FRAMES)
def test_a_frame_is_read_or_malformed(raw: str) -> None:
    frames.message_id_of(raw)
    try:
        frame = frames.decode(raw)
    except Malformed as error:
        if not error.path.startswith("frame"):
            raise
        return
    assert frames.decode(frames.encode(frame)) == frame


@pytest.mark.parametrize(
    "raw", ["[" * 100_000, "1" * 10_000, '"\ud800"', "[2,\x00]", "\N{REPLACEMENT CHARACTER}" * 9]
)
def test_a_hostile_frame_is_malformed(raw: str) -> None:
    with pytest.raises(Malformed):
        frames.decode(raw)


MESSAGES = [v16.Authorize, v16.BootNotification, v16.StatusNotification, v16.StartTransaction,
            v16.MeterValues, v16.StopTransaction]  # fmt: skip
NAMES = st.sampled_from(
    ["connectorId", "idTag", "meterStart", "timestamp", "meterValue", "transactionId", "meterStop",
     "transactionData", "sampledValue", "value", "unit", "status", "errorCode"]
)  # fmt: skip
TIMES = st.sampled_from(
    ["2026-11-02T12:00:00Z", "2026-11-02T12:00:00", "0001-01-01T00:00:00+14:00"]
)
SAMPLES = st.fixed_dictionaries(
    {"value": st.text(max_size=12) | st.sampled_from(["1", "1e999999", "NaN", "-1", "1e-99"])},
    optional={"unit": st.sampled_from(["Wh", "kWh", "kvarh"]), "phase": st.just("L1")},
)
METER_VALUES = st.lists(
    st.fixed_dictionaries({"timestamp": TIMES, "sampledValue": st.lists(SAMPLES, max_size=2)}),
    max_size=2,
)
PAYLOADS = st.dictionaries(NAMES, JSON | METER_VALUES | TIMES) | st.fixed_dictionaries(
    {"connectorId": st.integers(0, 2), "transactionId": st.integers(), "meterStop": st.integers(),
     "timestamp": TIMES, "meterValue": METER_VALUES, "transactionData": METER_VALUES}
)  # fmt: skip


@given(PAYLOADS, st.sampled_from(MESSAGES))
def test_a_payload_is_read_or_bad_input(payload: dict[str, Any], message: Any) -> None:
    try:
        found = v16.read(payload, message)
        if isinstance(found, v16.MeterValues):
            v16.samples(found.meter_value, "meterValue")
        if isinstance(found, v16.StopTransaction):
            v16.samples(found.transaction_data, "transactionData")
            assert abs(found.meter_stop) <= 10**10
    except BadInput:
        return
