"""OCPI 2.1.1: prices without tax, one total, and a Location inside the CDR."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wattledger.wire.ocpi.common import (
    NOTHING,
    AuthMethod,
    ChargingPeriod,
    ConnectorFormat,
    DisplayText,
    GeoLocation,
    PowerType,
    Record,
)
from wattledger.wire.records import Currency, Id

ComponentType = Literal["ENERGY", "FLAT", "PARKING_TIME", "TIME"]
Weekday = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]


class PriceComponent(Record, frozen=True):
    """A price per kWh, hour or session; no tax in it and none with it."""

    type: ComponentType
    price: Decimal
    step_size: int


class TariffRestrictions(Record, frozen=True):
    """When an element applies."""

    start_time: str | None = None
    end_time: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[Weekday, ...] = ()


class TariffElement(Record, frozen=True):
    """Components that share their restrictions."""

    price_components: Annotated[tuple[PriceComponent, ...], msgspec.Meta(min_length=1)]
    restrictions: TariffRestrictions | None = None


class Tariff(Record, frozen=True):
    """A price list; ``id`` is unique with its CPO only."""

    id: Id
    currency: Currency
    elements: Annotated[tuple[TariffElement, ...], msgspec.Meta(min_length=1)]
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: str | None = None
    energy_mix: msgspec.Raw = NOTHING
    last_updated: datetime | None = None


class Connector(Record, frozen=True):
    """A plug of an EVSE."""

    id: str | None = None
    standard: str | None = None
    format: ConnectorFormat | None = None
    power_type: PowerType | None = None
    voltage: int | None = None
    amperage: int | None = None
    tariff_id: str | None = None
    terms_and_conditions: str | None = None
    last_updated: datetime | None = None


class Evse(Record, frozen=True):
    """What one car at a time charges at. What is Raw is carried and never read."""

    uid: str | None = None
    evse_id: str | None = None
    status: str | None = None
    status_schedule: msgspec.Raw = NOTHING
    capabilities: tuple[str, ...] = ()
    connectors: tuple[Connector, ...] = ()
    floor_level: str | None = None
    coordinates: GeoLocation | None = None
    physical_reference: str | None = None
    directions: tuple[DisplayText, ...] = ()
    parking_restrictions: tuple[str, ...] = ()
    images: msgspec.Raw = NOTHING
    last_updated: datetime | None = None


class Location(Record, frozen=True):
    """Where; the only place in a CDR of any version that may name the time zone."""

    id: str | None = None
    type: str | None = None
    name: str | None = None
    address: str | None = None
    city: str | None = None
    postal_code: str | None = None
    country: str | None = None
    coordinates: GeoLocation | None = None
    related_locations: msgspec.Raw = NOTHING
    evses: tuple[Evse, ...] = ()
    directions: tuple[DisplayText, ...] = ()
    operator: msgspec.Raw = NOTHING
    suboperator: msgspec.Raw = NOTHING
    owner: msgspec.Raw = NOTHING
    facilities: tuple[str, ...] = ()
    time_zone: str | None = None
    opening_times: msgspec.Raw = NOTHING
    charging_when_closed: bool | None = None
    images: msgspec.Raw = NOTHING
    energy_mix: msgspec.Raw = NOTHING
    last_updated: datetime | None = None


class Cdr(Record, frozen=True):
    """A charge detail record. Only what pricing needs is required.

    ``end_date_time`` is ``stop_date_time`` on the wire: the later versions' name is used here.
    """

    id: Id
    currency: Currency
    start_date_time: datetime
    charging_periods: Annotated[tuple[ChargingPeriod, ...], msgspec.Meta(min_length=1)]
    end_date_time: datetime = msgspec.field(name="stop_date_time")
    auth_id: str | None = None
    auth_method: AuthMethod | None = None
    location: Location | None = None
    meter_id: str | None = None
    tariffs: tuple[msgspec.Raw, ...] = ()
    total_cost: Decimal | None = None
    total_energy: Decimal | None = None
    total_time: Decimal | None = None
    total_parking_time: Decimal | None = None
    remark: str | None = None
    last_updated: datetime | None = None

    @property
    def before_taxes(self) -> Decimal | None:
        """What the sender charged, without tax: all that 2.1.1 says."""
        return self.total_cost

    @property
    def after_taxes(self) -> Decimal | None:
        """Not in 2.1.1."""
        return None

    @property
    def country(self) -> str | None:
        """Alpha-3 by the text; the text's own example has two letters."""
        return self.location.country if self.location else None

    @property
    def time_zone(self) -> str | None:
        """The IANA zone, where the sender gave it."""
        return self.location.time_zone if self.location else None

    @property
    def numbers(self) -> tuple[Decimal | None, ...]:
        """Every number beside those of the periods."""
        return (self.total_cost, self.total_energy, self.total_time, self.total_parking_time)
