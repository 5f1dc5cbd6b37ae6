"""A session's figures in the words of the OCA's pricing messages (costmsg), for 1.6 and 2.x."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from wattledger.money import format_minor
from wattledger.pipeline.display.figures import Figures
from wattledger.rating import Charge, LineKind
from wattledger.rating.outlook import Price, Stretch
from wattledger.rating.sums import decimal_text
from wattledger.sessions import Activity
from wattledger.tariffs import Unit
from wattledger.wire.ocpp import costmsg

_MINUTE = timedelta(minutes=1)
# What tells us that the state has changed.
_ENDS_CHARGING = ["SuspendedEV", "SuspendedEVSE", "Finishing"]
_ENDS_IDLE = ["Charging", "Finishing", "Available"]


def running_cost(figures: Figures, transaction_id: int) -> costmsg.RunningCost:
    """The cost so far, the prices to go on counting with, and when they change next."""
    at = figures.at
    idle = figures.activity is Activity.VEHICLE_IDLE
    since = figures.idle_since or at
    charging = figures.ahead(Activity.CHARGING, at)
    waiting = figures.ahead(Activity.VEHICLE_IDLE, since)
    begins = figures.idle_from(since)
    idle_price = None
    if begins is not None:
        grace = -((since - begins.costs_from) // _MINUTE)
        idle_price = costmsg.IdlePrice(_hour(begins.price), grace)
    following = _next(charging, waiting, at)
    trigger_at = following.at_time if following else None
    if idle and begins is not None and begins.costs_from > at:
        trigger_at = min(filter(None, (trigger_at, begins.costs_from)))
    below_w = figures.row.contract.idle_below_w
    return costmsg.RunningCost(
        transaction_id=transaction_id,
        timestamp=at,
        meter_value=figures.delivery.readings[-1].register_wh,
        cost=figures.total,
        state="Idle" if idle else "Charging",
        charging_price=_charging(charging[0] if charging else None),
        idle_price=idle_price,
        next_period=following,
        trigger_meter_value=costmsg.TriggerMeterValue(
            at_time=trigger_at,
            at_power_kw=Decimal(below_w).scaleb(-3) if below_w else None,
            at_cp_status=_ENDS_IDLE if idle else _ENDS_CHARGING,
        ),
    )


def default_price(text: str, stretch: Stretch | None) -> costmsg.DefaultPrice:
    """What a display shows to whoever has no price of their own. An offline session has no idle
    fee: nobody can prove when the car went."""
    return costmsg.DefaultPrice(text, text, _charging(stretch))


def final_words(charge: Charge, total_minor: int) -> str:
    """The lines of a bill, in one."""
    total = format_minor(total_minor, charge.currency)
    lines = [
        f"{line.text} {format_minor(line.total_minor, charge.currency)}"
        for line in charge.lines
        if line.kind not in (LineKind.NOTICE, LineKind.ROUNDING)
    ]
    return f"{total}: {', '.join(lines)}" if lines else total


def decimal(value: Fraction) -> Decimal:
    """To 12 places, without zeros at the end."""
    return Decimal(plain(value))


def plain(value: Fraction) -> str:
    """The same as text."""
    text = decimal_text(value.numerator, value.denominator).rstrip("0")
    return text + "0" if text.endswith(".") else text


def _charging(stretch: Stretch | None) -> costmsg.ChargingPrice:
    """All three, so that a display never counts on with an older one."""
    nothing = Decimal(0)
    if stretch is None:
        return costmsg.ChargingPrice(nothing, nothing, nothing)
    return costmsg.ChargingPrice(
        decimal(stretch.energy.gross) if stretch.energy else nothing,
        _hour(stretch.charging) if stretch.charging else nothing,
        decimal(stretch.flat.gross) if stretch.flat else nothing,
    )


def _hour(price: Price) -> Decimal:
    return decimal(price.gross_per(Unit.HOUR))


def _next(
    charging: tuple[Stretch, ...], waiting: tuple[Stretch, ...], at: datetime
) -> costmsg.NextPeriod | None:
    """The next moment at which the clock changes a price, but for the end of the grace."""
    moments = [stretch.from_at for stretch in charging[1:2]]
    first = next((i for i, s in enumerate(waiting) if s.idle is not None and s.idle.gross), None)
    if first is not None:
        moments += [s.from_at for s in waiting[first + 1 :] if s.from_at > at][:1]
    if not moments:
        return None
    when = min(moments)
    then = _at(charging, when)
    idle = _at(waiting, when)
    price = idle.idle if idle is not None and idle.idle is not None else None
    if price is None and first is not None and waiting[first].from_at > when:
        price = waiting[first].idle
    idle_price = costmsg.IdlePrice(_hour(price)) if price is not None else None
    return costmsg.NextPeriod(when, _charging(then), idle_price)


def _at(stretches: tuple[Stretch, ...], when: datetime) -> Stretch | None:
    found = [stretch for stretch in stretches if stretch.from_at <= when]
    return found[-1] if found else None
