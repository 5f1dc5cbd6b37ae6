"""Restrictions out of configuration, and the check that they can hold at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from wattledger.errors import BadInput
from wattledger.tariffs import fields
from wattledger.tariffs.model import Day, EvseKind, Reservation, Restrictions

_READERS: dict[str, Callable[[object, str], object]] = {
    **dict.fromkeys(("start_time", "end_time"), fields.local_time),
    **dict.fromkeys(("start_date", "end_date"), fields.local_date),
    **dict.fromkeys(("start_season", "end_season"), fields.season),
    "holiday": fields.yes_or_no,
    **dict.fromkeys(("min_kwh", "max_kwh"), fields.kwh),
    **dict.fromkeys(
        ("min_power_kw", "max_power_kw", "min_current_a", "max_current_a"), fields.measure
    ),
    **dict.fromkeys(
        ("min_idle_s", "max_idle_s", "min_charging_s", "max_charging_s", "min_duration_s",
         "max_duration_s"), fields.seconds,
    ),
    "reservation": lambda raw, path: fields.choice(raw, path, Reservation),
    "evse_kind": lambda raw, path: fields.choice(raw, path, EvseKind),
    **dict.fromkeys(("payment_brand", "payment_recognition"), fields.text),
}  # fmt: skip


def read_restrictions(raw: object, path: str) -> Restrictions:
    """Raises BadInput for what can't be taken and for what can never match."""
    table = fields.table(raw, path, required="", optional=Restrictions.__struct_fields__)
    found = {key: _READERS[key](table[key], f"{path}.{key}") for key in table if key != "days"}
    if "days" in table:
        found["days"] = _days(table["days"], f"{path}.days")
    restrictions = Restrictions(**found)  # type: ignore[arg-type]
    check_possible(restrictions, path)
    return restrictions


def check_possible(found: Restrictions, path: str) -> None:
    """An element that can never apply is a mistake, most likely two values exchanged."""
    for start, end, what in (("start_time", "end_time", "a time"),
                             ("start_season", "end_season", "a day")):  # fmt: skip
        low = getattr(found, start)
        if low is not None and low == getattr(found, end):
            raise BadInput(f"{path}.{end}", low, f"{what} other than {start}")
    if (found.start_season is None) != (found.end_season is None):
        missing = "start_season" if found.start_season is None else "end_season"
        raise BadInput(f"{path}.{missing}", None, "both ends of the season")
    if found.end_date is not None and not (found.start_date or "") < found.end_date:
        raise BadInput(
            f"{path}.end_date", found.end_date, f"more than {found.start_date} (exclusive)"
        )
    for name in ("idle_s", "charging_s", "duration_s", "kwh", "power_kw", "current_a"):
        low, high = getattr(found, f"min_{name}"), getattr(found, f"max_{name}")
        if high is not None and not Decimal(low or 0) < Decimal(high):
            raise BadInput(f"{path}.max_{name}", high, f"more than {low or 0} (exclusive)")


def _days(raw: object, path: str) -> tuple[Day, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes) or not raw:
        raise BadInput(path, raw, "a list of weekdays such as ['MONDAY']; leave it out for all")
    days = tuple(fields.choice(day, f"{path}[{i}]", Day) for i, day in enumerate(raw))
    for i, day in enumerate(days):
        if day in days[:i]:
            raise BadInput(f"{path}[{i}]", day.value, "each weekday once")
    return days
