"""OCPP-J frames: a JSON array over a WebSocket message (OCPP-J 1.6 §4.2)."""

from __future__ import annotations

from typing import Any

import msgspec

from wattledger.errors import Malformed
from wattledger.wire.numbers import decode_json

FRAME_MAX_BYTES = 256 * 1024


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


Frame = Call | CallResult | CallError

_CALL, _RESULT, _ERROR = 2, 3, 4
_LENGTHS = {_CALL: (4,), _RESULT: (3,), _ERROR: (4, 5)}


def decode(raw: str) -> Frame:
    """The frame in a message. Raises Malformed, whose ``path`` says which element."""
    parts = decode_json(raw, "frame")
    if not isinstance(parts, list) or not parts or not isinstance(parts[0], int):
        raise Malformed("frame", parts, "an array that starts with 2, 3 or 4")
    kind = parts[0]
    if kind not in _LENGTHS:
        raise Malformed("frame[0]", kind, "2 (CALL), 3 (CALLRESULT) or 4 (CALLERROR)")
    if len(parts) not in _LENGTHS[kind]:
        raise Malformed("frame", f"{len(parts)} elements", f"{_LENGTHS[kind][-1]} elements")
    message_id = parts[1]
    if not isinstance(message_id, str) or not 1 <= len(message_id) <= 36:
        raise Malformed("frame[1]", message_id, "a message id of 1 to 36 characters")
    if kind == _CALL:
        return Call(message_id, _text(parts, 2), _object(parts, 3))
    if kind == _RESULT:
        return CallResult(message_id, _object(parts, 2))
    details = _object(parts, 4) if len(parts) == 5 else {}
    return CallError(message_id, _text(parts, 2), _text(parts, 3), details)


def encode(frame: Frame) -> str:
    """The message of a frame."""
    if isinstance(frame, Call):
        parts: list[Any] = [_CALL, frame.message_id, frame.action, frame.payload]
    elif isinstance(frame, CallResult):
        parts = [_RESULT, frame.message_id, frame.payload]
    else:
        parts = [_ERROR, frame.message_id, frame.code, frame.description, frame.details]
    return msgspec.json.encode(parts).decode()


def message_id_of(raw: str) -> str | None:
    """The id of a frame that could not be decoded, where it can be made out: to answer it."""
    try:
        parts = decode_json(raw, "frame")
    except Malformed:
        return None
    if isinstance(parts, list) and len(parts) >= 2 and parts[0] == _CALL:
        found = parts[1]
        return found if isinstance(found, str) and 1 <= len(found) <= 36 else None
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
