"""How each command is said in each version, against the standards' own schemas, and what its
answer makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from wattledger.db.effects import Done, Effect, Outcome, Rejected, Unknown
from wattledger.gateway import commands, settings, words
from wattledger.gateway.words import NotSaid
from wattledger.pipeline.stations.commands import KINDS
from wattledger.wire.ocpp.frames import CallError, CallResult
from wire import ocpp_schemas

NOW = datetime(2026, 11, 2, tzinfo=UTC)
LATER = NOW + timedelta(minutes=2)
V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
VERSIONS = (V16, V201, V21)
SETTINGS = {
    "aligned_interval_s": 900, "sample_interval_s": 600,
    "register": "Energy.Active.Import.Register", "power": "Power.Active.Import",
}  # fmt: skip
TARIFF = {
    "tariffId": "t", "currency": "USD",
    "energy": {"prices": [{"priceKwh": 0.4}]},
}  # fmt: skip
REQUESTS: dict[str, dict[str, Any]] = {
    "remote_start": {"token": "ANN", "connector_id": 1, "after": 0},
    "remote_stop": {"transaction_id": "17", "why": "asked"},
    "get_transaction_status": {"transaction_id": "17"},
    "trigger_message": {"message": "MeterValues", "connector_id": 1},
    "configure": {"settings": SETTINGS},
    "send_local_list": {"tokens": ["ANN", "A-TOKEN-OF-22-LETTERS!"], "version": 9},
    "clear_cache": {},
    "data_transfer": {"vendor_id": "v", "message_id": "m", "data": '{"a":1}'},
    "cost_updated": {"transaction_id": "17", "total_cost": "12.34",
                     "custom_data": {"vendorId": "v"}},
    "set_tariff": {"evse_id": 0, "tariff": TARIFF},
    "default_price": {"value": '{"priceText":"0.40 a kWh"}'},
}  # fmt: skip
ACTIONS = {
    "remote_start": (
        "RemoteStartTransaction",
        "RequestStartTransaction",
        "RequestStartTransaction",
    ),
    "remote_stop": ("RemoteStopTransaction", "RequestStopTransaction", "RequestStopTransaction"),
    "get_transaction_status": (None, "GetTransactionStatus", "GetTransactionStatus"),
    "trigger_message": ("TriggerMessage",) * 3,
    "configure": ("ChangeConfiguration", "SetVariables", "SetVariables"),
    "send_local_list": ("SendLocalList",) * 3,
    "clear_cache": ("ClearCache",) * 3,
    "data_transfer": ("DataTransfer",) * 3,
    "cost_updated": (None, "CostUpdated", "CostUpdated"),
    "set_tariff": (None, None, "SetDefaultTariff"),
    "default_price": ("ChangeConfiguration", None, None),
}


def effect(name: str, *, tries: int = 1, resolving: bool = False, **more: Any) -> Effect:
    request = {"charge_point_id": "Y-1", "expires_at": LATER.isoformat(), **REQUESTS[name], **more}
    return Effect(
        7, f"ocpp.{name}", "Y-1", "cp:Y-1", 1, "key-1", request, NOW, tries, "1:7:1", NOW, resolving
    )


class Station:
    """What a connection is to a command: ``says`` answers each CALL in turn, the last for ever."""

    def __init__(self, version: str, *says: Any) -> None:
        self.protocol = SimpleNamespace(version=version)
        self.world: Any = None
        self.heard: list[tuple[str, str, dict[str, Any]]] = []
        self._says = list(says)

    async def call(
        self, message_id: str, action: str, payload: dict[str, Any], timeout_s: int
    ) -> CallResult | CallError:
        assert 0 < len(message_id) <= 36
        self.heard.append((message_id, action, payload))
        said = self._says.pop(0) if len(self._says) > 1 else self._says[0]
        if isinstance(said, Exception):
            raise said
        if isinstance(said, str):
            return CallError(message_id, said, "")
        return CallResult(message_id, said)


async def give(station: Any, given: Effect, now: datetime = NOW) -> Outcome:
    return await commands.give(station, given, now)


def _results(status: str) -> dict[str, Any]:
    name = {"name": "x"}
    return {"setVariableResult": [{"attributeStatus": status, "component": name, "variable": name}]}


def test_every_kind_is_said_in_every_version_that_has_it_or_is_refused_by_name() -> None:
    assert set(ACTIONS) == set(REQUESTS) == set(KINDS)
    for name, actions in ACTIONS.items():
        for version, action in zip(VERSIONS, actions, strict=True):
            if name == "configure":
                said = [
                    settings.words(version, each.name, value)
                    for each in settings.plan(version, SETTINGS) for value in each.values
                ]  # fmt: skip
            elif action is None:
                with pytest.raises(NotSaid):
                    words.say(version, name, REQUESTS[name])
                continue
            else:
                said = [words.say(version, name, REQUESTS[name], "key-1")]
            for each in said:
                assert each.action == action
                ocpp_schemas.check(version, each.action, each.payload)


def test_what_stands_in_the_payloads() -> None:
    start = words.say(V16, "remote_start", REQUESTS["remote_start"]).payload
    assert start == {"idTag": "ANN", "connectorId": 1}
    start = words.say(V201, "remote_start", REQUESTS["remote_start"], "key-1").payload
    number = start.pop("remoteStartId")
    assert start == {"idToken": {"idToken": "ANN", "type": "Central"}, "evseId": 1}
    assert number == words.remote_start_id("key-1") != words.remote_start_id("key-2")
    assert 0 < number < 2**31
    card = {**REQUESTS["remote_start"], "token_type": "ISO14443", "connector_id": None}
    start = words.say(V21, "remote_start", card, "key-1").payload
    assert start["idToken"]["type"] == "ISO14443"
    assert "evseId" not in start
    assert words.say(V16, "remote_stop", REQUESTS["remote_stop"]).payload == {"transactionId": 17}
    assert words.say(V201, "remote_stop", REQUESTS["remote_stop"]).payload == {
        "transactionId": "17"
    }
    # 1.6 has idTags of 20 characters: what is longer could never be shown to it.
    listed = words.say(V16, "send_local_list", REQUESTS["send_local_list"]).payload
    assert listed == {
        "listVersion": 9, "updateType": "Full",
        "localAuthorizationList": [{"idTag": "ANN", "idTagInfo": {"status": "Accepted"}}],
    }  # fmt: skip
    listed = words.say(V201, "send_local_list", REQUESTS["send_local_list"]).payload
    assert [e["idToken"]["idToken"] for e in listed["localAuthorizationList"]] == (
        REQUESTS["send_local_list"]["tokens"]
    )
    # An empty one empties the list: 2.x must not be sent an empty array.
    for version in VERSIONS:
        empty = words.say(version, "send_local_list", {"tokens": [], "version": 9})
        ocpp_schemas.check(version, empty.action, empty.payload)


@pytest.mark.parametrize(
    ("version", "name", "more"),
    [
        (V16, "remote_start", {"token": "A-TOKEN-OF-22-LETTERS!"}),
        (V201, "remote_start", {"token": "x" * 37}),
        (V16, "remote_stop", {"transaction_id": "0b5f-a-station's-own"}),
        (V16, "trigger_message", {"message": "TransactionEvent"}),
        (V201, "trigger_message", {"message": "DiagnosticsStatusNotification"}),
        (V16, "cost_updated", {}),
        (V201, "set_tariff", {}),
    ],
)
async def test_what_a_version_can_not_say_is_refused_and_nothing_is_sent(
    version: str, name: str, more: dict[str, Any]
) -> None:
    station = Station(version, {"status": "Accepted"})
    found = await give(station, effect(name, **more))
    assert isinstance(found, Rejected)
    assert found.response["code"] == "not_in_version"
    assert station.heard == []


async def test_each_answer_makes_of_it_what_it_says() -> None:
    for name in ("remote_start", "remote_stop", "trigger_message", "clear_cache", "data_transfer"):
        for version in VERSIONS:
            took = await give(Station(version, {"status": "Accepted"}), effect(name))
            assert took == Done({"status": "Accepted"})
            refused = await give(Station(version, {"status": "Rejected"}), effect(name))
            assert refused == Rejected({"status": "Rejected", "code": "Rejected"})
            for code in ("NotImplemented", "NotSupported", "InternalError"):
                failed = await give(Station(version, code), effect(name))
                assert isinstance(failed, Rejected)
                assert failed.response["code"] == code
    told = {"messagesInQueue": False, "ongoingIndicator": True}
    assert await give(Station(V201, told), effect("get_transaction_status")) == Done(told)
    assert await give(Station(V201, {}), effect("cost_updated")) == Done({})
    for status in ("UnknownVendorId", "UnknownMessageId"):
        found = await give(Station(V16, {"status": status}), effect("data_transfer"))
        assert isinstance(found, Rejected)
        assert found.response["code"] == status
    taken = {"status": "RebootRequired"}
    assert await give(Station(V16, taken), effect("default_price")) == Done(taken)
    # It took the tariff the first time, and its answer was lost.
    twice = {"status": "DuplicateTariffId"}
    assert isinstance(await give(Station(V21, twice), effect("set_tariff")), Rejected)
    again = effect("set_tariff", tries=2, resolving=True)
    assert await give(Station(V21, twice), again) == Done(twice)


async def test_an_answer_that_can_not_be_read() -> None:
    for name in ("remote_stop", "get_transaction_status", "clear_cache"):
        found = await give(Station(V201, {"status": 7}), effect(name))
        assert isinstance(found, Rejected)
        assert found.response["code"] == "unreadable"
    found = await give(Station(V201, {}), effect("remote_start"))
    assert isinstance(found, Unknown), "it may start all the same"


async def test_what_is_over_is_not_given() -> None:
    for name in KINDS:
        station = Station(V21, {"status": "Accepted"})
        assert await give(station, effect(name), LATER) == Rejected({"code": "expired"})
        assert station.heard == []


async def test_without_an_answer_it_is_not_known_and_asked_again_but_not_for_ever() -> None:
    for name in KINDS:
        if name in ("send_local_list", "default_price"):
            continue  # the list stands in the database, and 2.1 has no such price
        for lost in (TimeoutError(), ConnectionError("the charge point has gone")):
            assert isinstance(await give(Station(V21, lost), effect(name)), Unknown)
    station = Station(V16, TimeoutError())
    for tries in (2, 3):
        again = effect("clear_cache", tries=tries, resolving=True)
        assert isinstance(await give(station, again), Unknown)
    found = await give(station, effect("clear_cache", tries=4, resolving=True))
    assert found == Rejected({"code": "no_answer"}), "the lane waits for it no longer"
    assert [message_id for message_id, *_ in station.heard] == ["e7-2", "e7-3"]
    # Money runs on: a stop is asked for until its time is over.
    stopping = await give(station, effect("remote_stop", tries=9, resolving=True))
    assert isinstance(stopping, Unknown)


async def test_a_remote_start_is_looked_for_and_never_given_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[str | None] = [None, "ses_1"]

    async def session_of(world: object, request: dict[str, Any]) -> str | None:
        assert request["token"] == "ANN"
        return begun.pop(0) if len(begun) > 1 else begun[0]

    monkeypatch.setattr(commands.remote_start, "session_of", session_of)
    station = Station(V201, {"status": "Accepted"})
    waiting = await give(station, effect("remote_start", tries=2, resolving=True))
    assert isinstance(waiting, Unknown)
    found = await give(station, effect("remote_start", tries=3, resolving=True))
    assert found == Done({"status": "Accepted", "session_id": "ses_1"})
    begun[:] = [None]
    for given, now in (
        (effect("remote_start", tries=10, resolving=True), NOW),
        (effect("remote_start", tries=2, resolving=True), LATER),
    ):
        assert await give(station, given, now) == Rejected({"code": "no_answer"})
    assert station.heard == []


async def test_settings_go_one_by_one_with_what_the_station_can_at_least() -> None:
    """Six keys in 1.6, the list of measurands again without power where it was refused."""
    says = [{"status": s} for s in ("Accepted", "RebootRequired", "Rejected", "Accepted",
                                    "NotSupported", "Accepted", "Accepted")]  # fmt: skip
    station = Station(V16, *says)
    found = await give(station, effect("configure"))
    register, power = SETTINGS["register"], SETTINGS["power"]
    assert [(p["key"], p["value"]) for _, _, p in station.heard] == [
        ("MeterValuesAlignedData", register),
        ("ClockAlignedDataInterval", "900"),
        ("MeterValuesSampledData", f"{register},{power}"),
        ("MeterValuesSampledData", register),
        ("MeterValueSampleInterval", "600"),
        ("StopTxnAlignedData", register),
        ("StopTxnSampledData", register),
    ]
    assert len({message_id for message_id, *_ in station.heard}) == 7
    assert found == Done({"results": {
        "MeterValuesAlignedData": "Accepted", "ClockAlignedDataInterval": "RebootRequired",
        "MeterValuesSampledData": "Accepted", "MeterValueSampleInterval": "NotSupported",
        "StopTxnAlignedData": "Accepted", "StopTxnSampledData": "Accepted",
    }})  # fmt: skip

    station = Station(V201, _results("Accepted"))
    assert isinstance(await give(station, effect("configure")), Done)
    said = {
        f"{d['component']['name']}.{d['variable']['name']}": d["attributeValue"]
        for _, _, p in station.heard for d in p["setVariableData"]
    }  # fmt: skip
    assert said["AlignedDataCtrlr.Interval"] == said["AlignedDataCtrlr.TxEndedInterval"] == "900"
    assert said["SampledDataCtrlr.TxUpdatedInterval"] == "600"
    assert said["SampledDataCtrlr.TxStartedMeasurands"] == register
    assert len(said) == len(station.heard) == 9

    # Who knows no such action is asked once.
    station = Station(V16, "NotImplemented")
    found = await give(station, effect("configure"))
    assert isinstance(found, Rejected)
    assert set(found.response["results"].values()) == {"NotImplemented"}
    assert len(station.heard) == 1
    refusing = Station(V201, _results("UnknownVariable"))
    assert isinstance(await give(refusing, effect("configure")), Rejected)
    short = settings.plan(V201, {**SETTINGS, "aligned_interval_s": 60})
    ended = next(each for each in short if each.name == "AlignedDataCtrlr.TxEndedInterval")
    assert ended.values == ("0",), "a day of minutes is more than a frame takes"
