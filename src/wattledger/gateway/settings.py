"""What a charge point measures and when, as keys of 1.6 and variables of 2.x (docs/ocpp.md).

One key or variable a CALL: 1.6 knows no other way, and how many variables a 2.x station takes in
one message only the station knows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from wattledger.db.effects import Done, Outcome, Rejected
from wattledger.errors import BadInput
from wattledger.gateway.words import Words
from wattledger.wire.ocpp import v2, v2_sent, v16_sent
from wattledger.wire.ocpp.frames import CallError

Ask = Callable[[Words, str], Awaitable[dict[str, Any] | CallError]]

# A station that does not know the action is not asked for the other settings.
_HOPELESS = frozenset({"NotImplemented", "NotSupported"})
TAKEN = frozenset({"Accepted", "RebootRequired"})
# A shorter interval fills the last message of a long session beyond what a frame takes.
_END_INTERVAL_LEAST_S = 300


class Setting(NamedTuple):
    """A key, or ``component.variable``; the second value is for a station that refuses the
    first."""

    name: str
    values: tuple[str, ...]


async def give(version: str, wanted: Mapping[str, Any], ask: Ask) -> Outcome:
    """Set all of it; what the station said to each. Done where it took at least one."""
    results: dict[str, str] = {}
    hopeless: str | None = None
    for number, setting in enumerate(plan(version, wanted)):
        if hopeless is None:
            said, hopeless = await _set(version, setting, number, ask)
            results[setting.name] = said
        else:
            results[setting.name] = hopeless
    if TAKEN & set(results.values()):
        return Done({"results": results})
    return Rejected({"code": "refused", "results": results})


def plan(version: str, wanted: Mapping[str, Any]) -> list[Setting]:
    """The settings in the order in which they are given."""
    aligned, sampled = int(wanted["aligned_interval_s"]), int(wanted["sample_interval_s"])
    register = str(wanted["register"])
    both = (f"{register},{wanted['power']}", register)
    if version == "ocpp1.6":
        return [
            Setting("MeterValuesAlignedData", (register,)),
            Setting("ClockAlignedDataInterval", (str(aligned),)),
            Setting("MeterValuesSampledData", both),
            Setting("MeterValueSampleInterval", (str(sampled),)),
            Setting("StopTxnAlignedData", (register,)),
            Setting("StopTxnSampledData", (register,)),
        ]
    at_end = aligned if aligned >= _END_INTERVAL_LEAST_S else 0
    return [
        Setting("AlignedDataCtrlr.Measurands", (register,)),
        Setting("AlignedDataCtrlr.Interval", (str(aligned),)),
        Setting("AlignedDataCtrlr.TxEndedMeasurands", (register,)),
        Setting("AlignedDataCtrlr.TxEndedInterval", (str(at_end),)),
        Setting("SampledDataCtrlr.TxStartedMeasurands", (register,)),
        Setting("SampledDataCtrlr.TxUpdatedMeasurands", both),
        Setting("SampledDataCtrlr.TxUpdatedInterval", (str(sampled),)),
        Setting("SampledDataCtrlr.TxEndedMeasurands", (register,)),
        # 0: the start's and the end's reading, and nothing between them.
        Setting("SampledDataCtrlr.TxEndedInterval", ("0",)),
    ]


async def _set(version: str, setting: Setting, number: int, ask: Ask) -> tuple[str, str | None]:
    """The station's word, and the error code where no other setting can fare better."""
    said = ""
    for attempt, value in enumerate(setting.values):
        answer = await ask(words(version, setting.name, value), f"-{number}{'ab'[attempt]}")
        if isinstance(answer, CallError):
            return answer.code, answer.code if answer.code in _HOPELESS else None
        said = _word(version, answer)
        if said != "Rejected":
            break
    return said, None


def words(version: str, name: str, value: str) -> Words:
    """The CALL that sets one."""
    if version == "ocpp1.6":
        message = v16_sent.ChangeConfiguration(name, value)
        return Words("ChangeConfiguration", v2_sent.write(message))
    component, _, variable = name.partition(".")
    data = v2_sent.SetVariableData(
        value, v2_sent.SentComponent(component), v2_sent.SentVariable(variable)
    )
    return Words("SetVariables", v2_sent.write(v2_sent.SetVariables([data])))


class _Status(msgspec.Struct):
    status: str


def _word(version: str, answer: dict[str, Any]) -> str:
    try:
        if version == "ocpp1.6":
            return msgspec.convert(answer, _Status).status
        (result,) = v2.read(answer, v2_sent.SetVariablesAnswer).set_variable_result
    except (BadInput, msgspec.ValidationError, ValueError):
        return "unreadable"
    return result.attribute_status
