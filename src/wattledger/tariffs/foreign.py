"""What the readers and the writers of other standards' tariffs share.

What a writer leaves out is of two kinds. A *loss* decides a price, or whom and when it is for:
all of them together are one CantSay. What is shown or carried and prices nothing (names, a web
page, the energy mix) is *left behind*, and listed for those who ask; and so is a policy that has
our own default, since a tariff that says nothing of it would else go nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from wattledger.errors import BadInput, CantSay
from wattledger.tariffs import fields
from wattledger.tariffs.model import Component, PriceLock, Restrictions, Tariff, TaxRate, Unit
from wattledger.tariffs.policies import FOREIGN, Policies
from wattledger.tariffs.restrictions import check_possible

_USUAL = Policies()
_PRICE_EXPECTED = "a price of 9 digits and 9 decimal places at most"


class Losses:
    """What can't be said, gathered under the paths of the tariff that is written."""

    def __init__(self, form: str) -> None:
        self.form = form
        self.found: list[str] = []

    def add(self, path: str, what: str) -> None:
        """``what`` is a phrase about the value at ``path``."""
        self.found.append(f"{path}: {what}")

    def raise_any(self) -> None:
        """Raises CantSay if there is one."""
        if self.found:
            raise CantSay(self.form, self.found)


def plain(value: Decimal) -> str:
    """Every digit and no exponent."""
    return format(value, "f")


def trimmed(value: Decimal) -> str:
    """Without the zeros that end its fraction."""
    text = plain(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(value: Decimal, path: str) -> str:
    """A price as it was written."""
    return _fitting(value, path, fields.PRICE, _PRICE_EXPECTED)


def amount(value: Decimal, path: str) -> str:
    """An amount of money, not negative."""
    return _fitting(value, path, fields.AMOUNT, "an amount, not negative, as finely as a price")


def percent(value: Decimal, path: str) -> str:
    """A percentage from 0 to 100."""
    expected = "a percentage from 0 to 100 with 6 decimal places at most"
    return fields.percent(_fitting(value, path, fields.PERCENT, expected), path)


def kwh(value: Decimal, path: str) -> str:
    """kWh to the Wh."""
    return _fitting(value, path, fields.KWH, "kWh, not negative, with 3 decimal places at most")


def measure(value: Decimal, path: str) -> str:
    """kW or A."""
    return _fitting(value, path, fields.MEASURE, "a number, not negative, with 6 decimals at most")


def seconds(value: int, path: str) -> int:
    """A duration of a year at most."""
    return fields.seconds(value, path)


def _fitting(value: Decimal, path: str, pattern: re.Pattern[str], expected: str) -> str:
    for text in (plain(value), trimmed(value)):
        if pattern.fullmatch(text):
            return text
    raise BadInput(path, str(value), expected)


def carried(text: str | None, path: str, most: int, warnings: list[str]) -> str | None:
    """A text that prices nothing: one that we can't keep is left out with a warning."""
    if text is None:
        return None
    try:
        return fields.text(text, path, most)
    except BadInput as error:
        warnings.append(f"{error}: not read")
        return None


def local_hours(
    start: str | None, end: str | None, names: tuple[str, str], path: str, warnings: list[str]
) -> tuple[str | None, str | None]:
    """Both ends, checked; ``names`` are what the standard calls them."""
    start_path, end_path = (f"{path}.{name}" for name in names)
    if end is not None and end.startswith("24:00"):
        raise BadInput(end_path, end, "00:00, which as an end is the end of the day")
    if start is not None:
        start = fields.local_time(start, start_path)
    if end is not None:
        end = fields.local_time(end, end_path)
        if end == start:
            raise BadInput(end_path, end, f"another time than {names[0]}: no standard says which")
    if end == "23:59":
        warnings.append(f"{end_path}: 23:59 leaves out the day's last minute; 00:00 is its end")
    return start, end


def warn_if_impossible(found: Restrictions, path: str, warnings: list[str]) -> None:
    """Another's element that can never apply is harmless where the others still price."""
    try:
        check_possible(found, path)
    except BadInput as error:
        # The names are ours, so they stand in the words and not in the path.
        name = error.path.rpartition(".")[2]
        warnings.append(
            f"{path}: the element never applies: {name} is {error.got}, expected {error.expected}"
        )


def check_validity(start: datetime | None, end: datetime | None, path: str) -> None:
    """Raises BadInput when the end, at ``path``, isn't after the start."""
    if start is not None and end is not None and not start < end:
        raise BadInput(path, end.isoformat(), f"a time after {start.isoformat()}")


def per_hour(component: Component) -> Decimal:
    """The price per hour, exactly; that of a kWh or a session as it is."""
    found = Decimal(component.price)
    return found * 60 if component.unit is Unit.MINUTE else found


def per_minute(component: Component) -> Decimal | None:
    """The price per minute; None where it has no end of decimal places, as 1.00 an hour has."""
    found = Decimal(component.price)
    if component.unit is not Unit.HOUR:
        return found
    billionths = int(found.scaleb(9))
    if billionths % 3:
        return None
    # A sixtieth is a third, and five hundredths of that.
    return Decimal(trimmed(Decimal(billionths // 3 * 5).scaleb(-11)))


def changed_policies(policies: Policies, *, said: Sequence[str] = ()) -> list[str]:
    """The names of those that are no default, neither ours nor another standard's, without those
    that can be ``said``."""
    return [
        name
        for name in Policies.__struct_fields__
        if name not in said
        and getattr(policies, name) not in (getattr(_USUAL, name), getattr(FOREIGN, name))
    ]


def lose_what_is_ours(
    tariff: Tariff, losses: Losses, path: str, *, said: Sequence[str] = ()
) -> None:
    """Caps, holidays, the price lock and policies: no other standard knows them."""
    for i, cap in enumerate(tariff.caps):
        losses.add(f"{path}.caps[{i}]", f"a cap on {cap.dimension.value}")
    if tariff.holidays:
        losses.add(f"{path}.holidays", f"{len(tariff.holidays)} holidays")
    if tariff.price_lock is not PriceLock.BY_INTERVAL:
        losses.add(f"{path}.price_lock", tariff.price_lock.value)
    for name in changed_policies(tariff.policies, said=said):
        losses.add(f"{path}.policies.{name}", f"{getattr(tariff.policies, name)}, not the default")


def is_set(found: Restrictions, name: str) -> bool:
    """Whether it restricts anything: a minimum of nothing does not."""
    value = getattr(found, name)
    if value is None or value == ():
        return False
    return not (name.startswith("min_") and Decimal(value) == 0)


def zero_for_none(taxes: tuple[TaxRate, ...]) -> tuple[TaxRate, ...]:
    """No tax at all, as a rate: only so do other standards keep the terms' taxes away."""
    return taxes or (TaxRate("VAT", "0"),)


def utc_text(at: datetime) -> str:
    """With a Z, and fractions of a second only where there are any."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def left_behind(tariff: Tariff, kept: Sequence[str], path: str) -> list[str]:
    """What stands in the tariff, prices nothing and is not among those ``kept``; and the default
    policies of ours that differ from what other standards mean by saying nothing."""
    found = [
        f"{path}.{name}"
        for name in ("country_code", "party_id", "url", "energy_mix", "last_updated")
        if name not in kept and getattr(tariff, name) is not None
    ]
    if tariff.name != tariff.id:
        found.append(f"{path}.name")
    found += [f"{path}.elements[{i}].name" for i, e in enumerate(tariff.elements) if e.name]
    changed = changed_policies(tariff.policies)
    found += [
        f"{path}.policies.{name}"
        for name in Policies.__struct_fields__
        if name not in changed and getattr(tariff.policies, name) != getattr(FOREIGN, name)
    ]
    return found
