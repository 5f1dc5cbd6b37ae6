"""What only OCPP 2.1 has and billing reads or sends (part 2, blocks C, E, I)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from wattledger.wire.ocpp.reading import Int, Long, M, Name, Numeric, Text, convert
from wattledger.wire.ocpp.reading import Message as Read
from wattledger.wire.ocpp.v2_sent import Sent


class Address(Read, frozen=True):
    """Of a company that pays VAT."""

    name: Text
    address1: Text = ""
    city: Text = ""
    country: Text = ""
    address2: Text | None = None
    postal_code: Text | None = None


class NotifySettlement(Numeric, frozen=True):
    """C18 to C23: what the terminal's provider made of the authorization ``psp_ref``.

    ``transaction_id`` is empty where it was cancelled before a transaction. ``status`` is Settled,
    Canceled, Rejected or Failed. The amount is with tax.
    """

    psp_ref: Annotated[str, msgspec.Meta(max_length=255)]
    status: Text
    settlement_amount: Decimal
    settlement_time: str
    transaction_id: Name | None = None
    status_info: Text | None = None
    receipt_id: Name | None = None
    receipt_url: Text | None = None
    vat_company: Address | None = None
    vat_number: Name | None = None


class VatNumberValidation(Read, frozen=True):
    """A driver typed a VAT number at the terminal."""

    vat_number: Name
    evse_id: Int | None = None


class TransactionLimit(Numeric, frozen=True):
    """A limit that the station took over: money with tax, Wh, seconds, percent."""

    max_cost: Decimal | None = None
    max_energy: Decimal | None = None
    max_time: Int | None = None
    max_soc: Int | None = msgspec.field(default=None, name="maxSoC")


class CostDimension(Numeric, frozen=True):
    """Energy (the schema names no unit), times in seconds, limits in A or W. ``IdleTIme`` is the
    schema's spelling."""

    type: Text
    volume: Decimal


class ChargingPeriod(Read, frozen=True):
    """From ``start_period`` on, until the next one."""

    start_period: str
    dimensions: list[CostDimension] | None = None
    tariff_id: Name | None = None


class TotalPrice(Numeric, frozen=True):
    """Without and with tax."""

    excl_tax: Decimal | None = None
    incl_tax: Decimal | None = None


class TotalCost(Read, frozen=True):
    """What the station says that it costs; ``type_of_cost`` is NormalCost, MinCost or MaxCost."""

    currency: Text
    type_of_cost: Text
    total: TotalPrice
    fixed: TotalPrice | None = None
    energy: TotalPrice | None = None
    charging_time: TotalPrice | None = None
    idle_time: TotalPrice | None = None
    reservation_time: TotalPrice | None = None
    reservation_fixed: TotalPrice | None = None


class TotalUsage(Numeric, frozen=True):
    """Energy in all (the schema names no unit), seconds charging or not,
    seconds idle."""

    energy: Decimal
    charging_time: Long
    idle_time: Long
    reservation_time: Long | None = None


class CostDetails(Read, frozen=True):
    """I07 to I12: the station's own calculation, to be compared with ours."""

    total_cost: TotalCost
    total_usage: TotalUsage
    charging_periods: list[ChargingPeriod] | None = None
    failure_to_calculate: bool | None = None
    failure_reason: Text | None = None


def read(payload: object, message: type[M]) -> M:
    """The message in a payload. Raises BadInput with the path of what is wrong."""
    return convert(payload, message, "OCPP 2.1")


class NotifySettlementResponse(Sent, frozen=True):
    """Where the driver finds the receipt, where it is ours to write."""

    receipt_url: str | None = None
    receipt_id: str | None = None


class SentAddress(Sent, frozen=True):
    """Of a company that pays VAT."""

    name: str
    address1: str
    city: str
    country: str
    address2: str | None = None
    postal_code: str | None = None


class VatNumberValidationResponse(Sent, frozen=True):
    """``status`` is Accepted or Rejected."""

    vat_number: str
    status: str
    evse_id: int | None = None
    company: SentAddress | None = None


class SetDefaultTariff(Sent, frozen=True):
    """I07. EVSE 0 is every one. The tariff is as ``tariffs.write_ocpp21`` writes it."""

    evse_id: int
    tariff: dict[str, Any]


class ChangeTransactionTariff(Sent, frozen=True):
    """I11: for a running transaction."""

    transaction_id: str
    tariff: dict[str, Any]


class ClearTariffs(Sent, frozen=True):
    """I10: the named ones, or all of an EVSE, or all."""

    tariff_ids: list[str] | None = None
    evse_id: int | None = None


class NotifyWebPaymentStarted(Sent, frozen=True):
    """C25: a driver pays on a web page; the EVSE is to be kept for ``timeout`` seconds."""

    evse_id: int
    timeout: int
