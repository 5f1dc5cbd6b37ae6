"""Sampled values as facts: which count, in which unit, under which key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wattledger.sessions import Fact, from_samples
from wattledger.wire.ocpp.samples import Sample, Signed

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
POWER = "Power.Active.Import"
INTERVAL = "Energy.Active.Import.Interval"


def _sample(value: str | None, at: datetime = AT, **more: Any) -> Sample:
    return Sample(at, value, "m[0]", **more)


def _read(*samples: Sample, **more: Any) -> from_samples.Read:
    return from_samples.read("ses_1", samples, lambda at: at, **more)


def _wh(*samples: Sample, **more: Any) -> list[tuple[str, int | None]]:
    return [(fact.origin, fact.register_wh) for fact, _ in _read(*samples, **more).facts]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (_sample("1500"), [("sample", 1_500)]),
        (_sample("1.5", unit="kWh"), [("sample", 1_500)]),
        (_sample("15", multiplier=2), [("sample", 1_500)]),
        (_sample("0.0015", unit="kWh", multiplier=3), [("sample", 1_500)]),
        (_sample("0.4995", unit="kWh"), [("sample", 500)]),  # half up
        (_sample("1", context="Transaction.Begin"), [("begin", 1)]),
        (_sample("1", context="Transaction.End"), [("end", 1)]),
        (_sample("1", context="Interruption.Begin"), [("sample", 1)]),
        (_sample("1", measurand=INTERVAL, context="Transaction.End"), [("interval", 1)]),
        (_sample("1", measurand=INTERVAL, context="Sample.Clock"), [("interval_clock", 1)]),
        (_sample("1", context="Sample.Clock"), [("sample", 1)]),
        # Nobody's billing register.
        (_sample("1", location="Inlet"), []),
        (_sample("1", measurand="Energy.Active.Export.Register"), []),
        (_sample("1", measurand="Energy.Reactive.Import.Register"), []),
        (_sample("1", measurand="SoC"), []),
        (_sample("1", phase="N"), []),
        (_sample(None), []),
    ],
)
def test_what_counts(sample: Sample, expected: list[tuple[str, int]]) -> None:
    assert _wh(sample) == expected


def test_the_configured_unit_goes_before_the_one_that_is_said() -> None:
    assert _wh(_sample("1.5", unit="Wh"), unit="kWh") == [("sample", 1_500)]
    assert _wh(_sample("1500", unit="kWh"), unit="Wh") == [("sample", 1_500)]


def test_phases_are_summed_unless_all_together_are_said() -> None:
    phases = [_sample(value, phase=name) for value, name in
              (("1000", "L1"), ("2000", "L2-N"), ("500", "L3"))]  # fmt: skip
    assert _wh(*phases) == [("sample", 3_500)]
    assert _wh(*phases, _sample("3501")) == [("sample", 3_501)]
    later = _sample("700", AT + timedelta(minutes=1), phase="L1")
    assert _wh(*phases, later) == [("sample", 3_500), ("sample", 700)]


def test_a_phase_that_is_none_spoils_the_sum_and_nothing_else() -> None:
    found = _read(_sample("1000", phase="L1"), _sample("x", phase="L2"),
                  _sample("9000", context="Transaction.End"))  # fmt: skip
    assert [(f.origin, f.register_wh) for f, _ in found.facts] == [("end", 9_000)]
    assert [note.code for note in found.notes] == ["sample.invalid"]


def test_so_it_does_of_an_interval() -> None:
    found = _read(_sample("1000", phase="L1", measurand=INTERVAL),
                  _sample("x", phase="L2", measurand=INTERVAL))  # fmt: skip
    assert (found.facts, len(found.notes)) == ((), 1)


def test_what_was_no_sample_is_told_and_spoils_the_sum_of_its_phases() -> None:
    found = _read(
        _sample("1000", phase="L1"),
        _sample(None, phase="L2", unread="m[1]: got 'x'"),
        _sample("7", AT + timedelta(minutes=1)),
        _sample(None, unread="m[2]: got None"),
    )
    assert [fact.register_wh for fact, _ in found.facts] == [7]
    assert [(n.code, n.message) for n in found.notes] == [
        ("sample.invalid", "m[1]: got 'x'"), ("sample.invalid", "m[2]: got None"),
    ]  # fmt: skip


def test_of_two_values_of_one_moment_the_higher_counts() -> None:
    assert _wh(_sample("10"), _sample("12"), _sample("11")) == [("sample", 12)]


def test_power_stands_beside_the_register_or_alone() -> None:
    power = _sample("11", measurand=POWER, unit="kW")
    ((fact, _),) = _read(_sample("5"), power).facts
    assert fact == Fact("meter", AT, 5, origin="sample", power_mw=11_000_000, unit="Wh")
    phases = [_sample("3000", measurand=POWER, unit="W", phase=f"L{n}") for n in (1, 2, 3)]
    ((fact, _),) = _read(*phases).facts
    assert (fact.register_wh, fact.power_mw) == (None, 9_000_000)


@pytest.mark.parametrize("value", ["", "x", "NaN", "Infinity", "1e99", "-1", "1,5"])
def test_a_value_that_is_none_is_left_out_and_told(value: str) -> None:
    found = _read(_sample(value), _sample("7", AT + timedelta(minutes=1)))
    assert [fact.register_wh for fact, _ in found.facts] == [7]
    assert [note.code for note in found.notes] == ["sample.invalid"]
    assert found.notes[0].message.startswith("m[0]")


def test_a_unit_that_is_none_too() -> None:
    assert [n.code for n in _read(_sample("1", unit="MWh")).notes] == ["sample.invalid"]


def test_a_fact_has_one_key_however_often_it_is_told() -> None:
    ((_, key),) = _read(_sample("1.5", unit="kWh")).facts
    ((_, again),) = _read(_sample("1500")).facts
    assert key == again, "what was said, not how"
    others = [
        _sample("1501"), _sample("1500", context="Transaction.End"),
        _sample("1500", AT + timedelta(seconds=1)),
    ]  # fmt: skip
    keys = {_read(other).facts[0][1] for other in others}
    assert len({key, *keys}) == 4


def test_the_key_has_the_devices_time_where_that_is_not_believed() -> None:
    """Said again later, by a clock that is wrong, it is the same: the time of receipt is not in
    it."""
    first, later = (
        from_samples.read("ses_1", [_sample("5")], lambda _, at=at: at).facts[0]
        for at in (AT + timedelta(hours=1), AT + timedelta(hours=2))
    )
    assert first[1] == later[1]
    assert first[0].at == AT + timedelta(hours=1)


def test_signed_records_are_handed_on_with_their_place() -> None:
    signed = Signed("OCMF|{}|{}")
    found = _read(
        _sample(None, context="Transaction.End", signed=signed), _sample("5", signed=signed)
    )
    assert [(s.context, s.signed) for s in found.signed] == [
        ("Transaction.End", signed), ("Sample.Periodic", signed),
    ]  # fmt: skip
    assert [fact.register_wh for fact, _ in found.facts] == [5], "a raw value beside it counts too"
