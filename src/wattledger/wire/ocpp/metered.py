"""The meter values of a message, of whatever version: each for itself, and so each sample in it.

One that can't be read must not cost the start, the stop or the event that it came with.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from wattledger.wire.numbers import NO_TIME, device_time
from wattledger.wire.ocpp.reading import Message, each
from wattledger.wire.ocpp.samples import Sample

S = TypeVar("S", bound=Message)


class MeterValue(Message, frozen=True):
    """Samples of one moment (1.6 §7.33; MeterValueType)."""

    timestamp: str
    sampled_value: Any = None


def samples_of(
    meter_values: object,
    path: str,
    sampled: type[S],
    sample: Callable[[S, datetime, str], Sample],
    standard: str,
) -> list[Sample]:
    """Every sample, in its version's words; what is none, or has no time, is ``unread``."""
    found: list[Sample] = []
    without: list[tuple[str, str]] = []
    for its_path, meter_value, wrong in each(meter_values, MeterValue, standard, path):
        if meter_value is None:
            without.append((its_path, wrong))
            continue
        at = device_time(meter_value.timestamp)
        for place, held, why in each(
            meter_value.sampled_value, sampled, standard, f"{its_path}.sampledValue"
        ):
            found.append(sample(held, at, place) if held else Sample(at, None, place, unread=why))
    # It says nothing of the clock that the others don't.
    at = found[-1].at if found else NO_TIME
    return found + [Sample(at, None, place, unread=why) for place, why in without]
