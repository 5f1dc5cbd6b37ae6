"""OCPP-J frames: a JSON array over a WebSocket message (OCPP-J 1.6 §4.2; 2.1 part 4 §4.2).

All versions have CALL, CALLRESULT and CALLERROR; 2.1 has also CALLRESULTERROR, of who can't use an
answer, and SEND, which is never answered.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import msgspec

from wattledger.errors import Malformed
from wattledger.wire import exact
from wattledger.wire.numbers import decode_json

FRAME_MAX_BYTES = 256 * 1024
# Longer a description must not be (1.6 §4.2.3, 2.0.1 part 4 §4.2.3).
DESCRIPTION_MAX = 255
_ID_MAX = 36
# A CALL that ends too soon still says whom to answer.
_TORN = re.compile(rf'\s*\[\s*2\s*,\s*"([^"\\\x00-\x1f]{{1,{_ID_MAX}}})"\s*,')
# Characters that it takes at least to nest too deeply: most frames are shorter.
_SHALLOW = 2 * exact.DEPTH_MAX


class Call(msgspec.Struct, frozen=True):
    """[2, id, action, payload]"""

    message_id: str
    action: str
    payload: dict[str, Any]


class CallResult(msgspec.Struct, frozen=True):
    """[3, id, payload]"""

    message_id: str
    payload: dict[str, Any]


class CallError(msgspec.Struct, frozen=True):
    """[4, id, code, description, details]"""

    message_id: str
    code: str
    description: str
    details: dict[str, Any] = {}


class ResultError(msgspec.Struct, frozen=True):
    """[5, id, code, description, details]: what is wrong with the answer ``id`` of ours."""

    message_id: str
    code: str
    description: str
    details: dict[str, Any] = {}


class Send(msgspec.Struct, frozen=True):
    """[6, id, action, payload]: nobody answers."""

    message_id: str
    action: str
    payload: dict[str, Any]


Frame = Call | CallResult | CallError | ResultError | Send


class Kind(Enum):
    """What a CALLERROR is for."""

    FORMAT = "the payload is no JSON, or not of this action"
    UNKNOWN_ACTION = "the action is none of this version"
    UNSUPPORTED = "an action of this version that we don't do"
    INTERNAL = "we failed"
    PROTOCOL = "a required field is missing"
    SECURITY = "not allowed for reasons of security"
    PROPERTY = "a value is out of its range"
    OCCURRENCE = "a field stands too often or too seldom"
    TYPE = "a value is of another type"
    GENERIC = "anything else"
    MESSAGE_TYPE = "the number of the frame's type is unknown"
    FRAME = "the frame itself can't be read"


# 2.x wrote some anew, and added the last two; to 1.6 those are as near as it gets.
_CODES = {
    Kind.FORMAT: ("FormationViolation", "FormatViolation"),
    Kind.UNKNOWN_ACTION: ("NotImplemented", "NotImplemented"),
    Kind.UNSUPPORTED: ("NotSupported", "NotSupported"),
    Kind.INTERNAL: ("InternalError", "InternalError"),
    Kind.PROTOCOL: ("ProtocolError", "ProtocolError"),
    Kind.SECURITY: ("SecurityError", "SecurityError"),
    Kind.PROPERTY: ("PropertyConstraintViolation", "PropertyConstraintViolation"),
    Kind.OCCURRENCE: ("OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
    Kind.TYPE: ("TypeConstraintViolation", "TypeConstraintViolation"),
    Kind.GENERIC: ("GenericError", "GenericError"),
    Kind.MESSAGE_TYPE: ("ProtocolError", "MessageTypeNotSupported"),
    Kind.FRAME: ("FormationViolation", "RpcFrameworkError"),
}


def error_code(version: str, kind: Kind) -> str:
    """The code of a CALLERROR as ``version`` ("ocpp1.6", "ocpp2.0.1", "ocpp2.1") spells it
    (1.6 §4.2.3; 2.0.1 part 4 §4.3)."""
    old, new = _CODES[kind]
    return old if version == "ocpp1.6" else new


_CALL, _RESULT, _ERROR, _RESULT_ERROR, _SEND = 2, 3, 4, 5, 6
_LENGTHS = {_CALL: (4,), _RESULT: (3,), _ERROR: (4, 5), _RESULT_ERROR: (4, 5), _SEND: (4,)}
# A Decimal is a number, digit for digit: msgspec would make it a text.
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decode(raw: str) -> Frame:
    """The frame in a message. Raises Malformed, whose ``path`` says which element."""
    parts = decode_json(raw, "frame")
    if len(raw) > _SHALLOW and raw.count("[") + raw.count("{") > exact.DEPTH_MAX:
        exact.check_depth(parts, "frame")
    # What nearly every frame is; whatever is wrong with another is found out below.
    if (
        type(parts) is list
        and len(parts) == 4
        and parts[0] == _CALL
        and type(parts[2]) is str
        and type(parts[3]) is dict
        and type(parts[1]) is str
        and 0 < len(parts[1]) <= _ID_MAX
    ):
        return Call(parts[1], parts[2], parts[3])
    return _frame(parts)


def _frame(parts: Any) -> Frame:
    if not isinstance(parts, list) or not parts or not isinstance(parts[0], int):
        raise Malformed("frame", parts, "an array that starts with a number from 2 to 6")
    kind = parts[0]
    if kind not in _LENGTHS:
        raise Malformed(
            "frame[0]",
            kind,
            "2 (CALL), 3 (CALLRESULT), 4 (CALLERROR), 5 (CALLRESULTERROR), 6 (SEND)",
        )
    if len(parts) not in _LENGTHS[kind]:
        raise Malformed("frame", f"{len(parts)} elements", f"{_LENGTHS[kind][-1]} elements")
    message_id = parts[1]
    if not isinstance(message_id, str) or not 1 <= len(message_id) <= _ID_MAX:
        raise Malformed("frame[1]", message_id, f"a message id of 1 to {_ID_MAX} characters")
    if kind == _RESULT:
        return CallResult(message_id, _object(parts, 2))
    if kind in (_CALL, _SEND):
        made = Call if kind == _CALL else Send
        return made(message_id, _text(parts, 2), _object(parts, 3))
    error = CallError if kind == _ERROR else ResultError
    details = _object(parts, 4) if len(parts) == 5 else {}
    return error(message_id, _text(parts, 2), _text(parts, 3), details)


def encode(frame: Frame) -> str:
    """The message of a frame. Decimals are numbers in it; a description is cut to its length."""
    if isinstance(frame, Call):
        parts: list[Any] = [_CALL, frame.message_id, frame.action, frame.payload]
    elif isinstance(frame, CallResult):
        parts = [_RESULT, frame.message_id, frame.payload]
    elif isinstance(frame, Send):
        parts = [_SEND, frame.message_id, frame.action, frame.payload]
    else:
        kind = _ERROR if isinstance(frame, CallError) else _RESULT_ERROR
        description = frame.description[:DESCRIPTION_MAX]
        parts = [kind, frame.message_id, frame.code, description, frame.details]
    return _ENCODER.encode(parts).decode()


def message_id_of(raw: str) -> str | None:
    """The id of a frame that could not be decoded, where it can be made out: to answer it."""
    try:
        parts = decode_json(raw, "frame")
    except Malformed:
        torn = _TORN.match(raw)
        return torn[1] if torn else None
    if isinstance(parts, list) and len(parts) >= 2 and parts[0] == _CALL:
        found = parts[1]
        return found if isinstance(found, str) and 1 <= len(found) <= _ID_MAX else None
    return None


def _text(parts: list[Any], index: int) -> str:
    if not isinstance(parts[index], str):
        raise Malformed(f"frame[{index}]", parts[index], "a string")
    return str(parts[index])


def _object(parts: list[Any], index: int) -> dict[str, Any]:
    found = parts[index]
    if not isinstance(found, dict):
        raise Malformed(f"frame[{index}]", found, "an object")
    return found
