"""What OCPI's versions share: frozen, typed records and their enumerations."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wattledger.wire.records import Informative, Listed

Version = Literal["2.1.1", "2.2.1", "2.3.0"]
VERSIONS: tuple[Version, ...] = ("2.1.1", "2.2.1", "2.3.0")

# The absence of what is carried as bytes: msgspec takes no union of Raw and None.
NOTHING = msgspec.Raw()


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An object of OCPI."""


class AuthMethod(Informative):
    """How the driver was let in."""

    AUTH_REQUEST = "AUTH_REQUEST"
    COMMAND = "COMMAND"
    WHITELIST = "WHITELIST"


class TokenType(Informative):
    """What the driver showed."""

    AD_HOC_USER = "AD_HOC_USER"
    APP_USER = "APP_USER"
    EMAID = "EMAID"
    OTHER = "OTHER"
    RFID = "RFID"


class ConnectorFormat(Informative):
    """Whose the cable is."""

    SOCKET = "SOCKET"
    CABLE = "CABLE"


class PowerType(Informative):
    """The current of a connector. 2.1.1 knows the first three."""

    AC_1_PHASE = "AC_1_PHASE"
    AC_3_PHASE = "AC_3_PHASE"
    DC = "DC"
    AC_2_PHASE = "AC_2_PHASE"
    AC_2_PHASE_SPLIT = "AC_2_PHASE_SPLIT"


class DimensionType(Listed):
    """What a volume in a charging period counts: kWh, hours, A, kW or %.

    One list for all versions: a FLAT of 2.1.1 or a POWER that belongs in a session does no harm.
    """

    ENERGY = "ENERGY"
    TIME = "TIME"
    PARKING_TIME = "PARKING_TIME"
    RESERVATION_TIME = "RESERVATION_TIME"
    FLAT = "FLAT"
    MAX_CURRENT = "MAX_CURRENT"
    MIN_CURRENT = "MIN_CURRENT"
    MAX_POWER = "MAX_POWER"
    MIN_POWER = "MIN_POWER"
    CURRENT = "CURRENT"
    ENERGY_EXPORT = "ENERGY_EXPORT"
    ENERGY_IMPORT = "ENERGY_IMPORT"
    POWER = "POWER"
    STATE_OF_CHARGE = "STATE_OF_CHARGE"


class CdrDimension(Record, frozen=True, gc=False):
    """A volume. Real records quote numbers now and then; both are read."""

    type: DimensionType
    volume: Decimal


class ChargingPeriod(Record, frozen=True, gc=False):
    """It ends where the next begins, the last one with the record."""

    start_date_time: datetime
    dimensions: tuple[CdrDimension, ...]
    tariff_id: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class GeoLocation(Record, frozen=True):
    """Degrees, as text in the standard's own type."""

    latitude: str
    longitude: str


class SignedValue(Record, frozen=True):
    """One signed reading of a meter."""

    nature: str
    plain_data: str
    signed_data: str


class SignedData(Record, frozen=True):
    """What proves the meter's readings (calibration law)."""

    encoding_method: str
    signed_values: tuple[SignedValue, ...]
    encoding_method_version: int | None = None
    public_key: str | None = None
    url: str | None = None


class DisplayText(Record, frozen=True):
    """Words for the driver."""

    language: str
    text: str


class CdrToken(Record, frozen=True):
    """Who charged (2.2 and later)."""

    uid: str
    type: TokenType | None = None
    contract_id: str | None = None
    country_code: str | None = None
    party_id: str | None = None


class CdrLocation(Record, frozen=True):
    """Where (2.2 and later). It has no time zone in any version; ``country`` is alpha-3.

    ``connector_standard`` is a text: the list grows with each edition, and prices ask nothing of
    it.
    """

    id: str | None = None
    name: str | None = None
    address: str | None = None
    city: str | None = None
    postal_code: str | None = None
    state: str | None = None
    country: str | None = None
    coordinates: GeoLocation | None = None
    evse_uid: str | None = None
    evse_id: str | None = None
    connector_id: str | None = None
    connector_standard: str | None = None
    connector_format: ConnectorFormat | None = None
    connector_power_type: PowerType | None = None
