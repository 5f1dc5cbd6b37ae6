"""The OCA's pricing messages for 1.6: fields and examples of the white paper."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ocpp_schemas
import pytest

from wattledger.errors import BadInput, Malformed
from wattledger.wire.ocpp import costmsg, frames

NOON = datetime(2021, 3, 19, 12, tzinfo=UTC)
CHARGING = costmsg.ChargingPrice(Decimal("0.123"), Decimal(0), Decimal(0))


def _data(payload: dict[str, Any], name: str) -> Any:
    """The data of a legal DataTransfer, as its text says it: numbers as they are written."""
    ocpp_schemas.check("ocpp1.6", "DataTransfer", payload)
    assert (payload["vendorId"], payload["messageId"]) == ("org.openchargealliance.costmsg", name)
    return json.loads(payload["data"], parse_float=str, parse_int=str)


def test_running_cost_has_all_fields_of_the_paper() -> None:
    message = costmsg.RunningCost(
        12345, NOON, 1_234_000, Decimal(1), "Charging", CHARGING,
        costmsg.IdlePrice(Decimal(1), 30),
        costmsg.NextPeriod(
            NOON.replace(hour=19), costmsg.ChargingPrice(Decimal("0.1")),
            costmsg.IdlePrice(Decimal(0)),
        ),
        costmsg.TriggerMeterValue(
            NOON.replace(hour=23), Decimal("50.0625"), Decimal("0.1"),
            ["SuspendedEV", "SuspendedEVSE"],
        ),
    )  # fmt: skip
    assert _data(costmsg.request(message), "RunningCost") == {
        "transactionId": "12345",
        "timestamp": "2021-03-19T12:00:00Z",
        "meterValue": "1234000",
        "cost": "1.000",
        "state": "Charging",
        "chargingPrice": {"kWhPrice": "0.123", "hourPrice": "0.000", "flatFee": "0.000"},
        "idlePrice": {"graceMinutes": "30", "hourPrice": "1.000"},
        "nextPeriod": {
            "atTime": "2021-03-19T19:00:00Z",
            "chargingPrice": {"kWhPrice": "0.100"},
            "idlePrice": {"hourPrice": "0.000"},
        },
        "triggerMeterValue": {
            "atTime": "2021-03-19T23:00:00Z",
            "atEnergykWh": "50.0625",
            "atPowerkW": "0.1",
            "atCPStatus": ["SuspendedEV", "SuspendedEVSE"],
        },
    }


def test_the_other_messages_to_a_charge_point() -> None:
    words = [costmsg.Words("UTF8", "nl", "€0,12")]
    price = costmsg.SetUserPrice("ABC", "0.12 a kWh", words)
    assert _data(costmsg.request(price), "SetUserPrice") == {
        "idToken": "ABC",
        "priceText": "0.12 a kWh",
        "priceTextExtra": [{"format": "UTF8", "language": "nl", "content": "€0,12"}],
    }
    final = costmsg.FinalCost(1, Decimal("3.31"), "3.31 in all", qr_code_text="https://r")
    assert _data(costmsg.request(final, 2), "FinalCost") == {
        "transactionId": "1", "cost": "3.31", "priceText": "3.31 in all",
        "qrCodeText": "https://r",
    }  # fmt: skip
    default = costmsg.DefaultPrice("0.15 a kWh", "0.15", costmsg.ChargingPrice(Decimal("0.15")))
    value = costmsg.default_price_value(default)
    ocpp_schemas.check("ocpp1.6", "ChangeConfiguration", {"key": "DefaultPrice", "value": value})
    assert value == (
        '{"priceText":"0.15 a kWh","priceTextOffline":"0.15","chargingPrice":{"kWhPrice":0.150}}'
    )


@pytest.mark.parametrize(
    ("cost", "decimals", "text"),
    [("1.0005", 3, "1.001"), ("1.0005", 2, "1.00"), ("0.5", 0, "1"), ("0", 4, "0.0000"),
     ("-0.0005", 3, "-0.001"), ("1234567890.12", 2, "1234567890.12"), ("1E+3", 2, "1000.00")],
)  # fmt: skip
def test_a_cost_has_as_many_decimals_as_the_display(cost: str, decimals: int, text: str) -> None:
    payload = costmsg.request(costmsg.FinalCost(1, Decimal(cost), ""), decimals)
    assert f'"cost":{text},' in payload["data"]


def test_a_cost_that_is_no_number_is_a_fault_of_ours() -> None:
    for cost, decimals in ((Decimal("NaN"), 3), (Decimal("Infinity"), 3), (Decimal(1), -1)):
        with pytest.raises(ValueError):
            costmsg.request(costmsg.FinalCost(1, cost, ""), decimals)


def test_an_unplug_is_read_from_its_text() -> None:
    sent = {"transactionId": 7, "timestamp": "2021-03-19T14:00:00+02:00"}
    raw = frames.encode(frames.Call("1", "DataTransfer", {"data": json.dumps(sent)}))
    frame = frames.decode(raw)
    assert isinstance(frame, frames.Call)
    found = costmsg.unplugged(frame.payload["data"])
    assert (found.transaction_id, found.at) == (7, NOON)
    assert costmsg.unplugged({**sent, "transactionId": "7"}) == found


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (None, "DataTransfer.data"), ("[]", "DataTransfer.data"), ("{", "DataTransfer.data"),
        ("{}", "ConnectorUnplugged.transactionId"),
        ('{"transactionId":' + "[" * 900 + "]" * 900 + "}", "DataTransfer.data"),
        ('{"transactionId":1.5,"timestamp":""}', "ConnectorUnplugged.transactionId"),
    ],
)  # fmt: skip
def test_an_unplug_that_can_not_be_read_names_its_place(data: object, path: str) -> None:
    with pytest.raises((BadInput, Malformed), match=path):
        costmsg.unplugged(data)


def test_an_unplug_without_a_zone_has_no_time() -> None:
    found = costmsg.unplugged({"transactionId": 1, "timestamp": "2021-03-19T12:00:00"})
    with pytest.raises(BadInput, match=r"ConnectorUnplugged\.timestamp"):
        assert found.at
