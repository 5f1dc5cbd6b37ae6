"""What is said against a dispute, and the files that go with it.

The call leaves its key on the dispute, to be found back by. A file has no metadata: it is found
back by its name, which has the digest of what is in it. One that was uploaded twice costs nothing,
moves no money and is seen by nobody: only those that the evidence names are.
"""

from __future__ import annotations

import io
from typing import Any

from wattledger.db.effects import Done, NewAttempt, NotSent, Outcome, Rejected, Unknown
from wattledger.payments.stripe.objects import dispute, plain
from wattledger.payments.stripe.operation import Call, Operation, find_in_list
from wattledger.payments.stripe.pacing import Rank

_MARK = "wattledger_key"
_PURPOSE = "dispute_evidence"
_OVER = frozenset({"won", "lost", "warning_closed", "charge_refunded", "prevented"})


async def _send(call: Call) -> Outcome:
    params = {
        "evidence": call.request["evidence"],
        "submit": bool(call.request["submit"]),
        "metadata": {_MARK: call.effect.key},
    }
    dispute_id = call.request["dispute_id"]
    return _taken(await call.v1.disputes.update_async(dispute_id, params, call.options))


async def _find(call: Call) -> Outcome:
    row = await call.v1.disputes.retrieve_async(call.request["dispute_id"])
    if plain(row.metadata).get(_MARK) == call.effect.key:
        return _taken(row)
    if row.status in _OVER:
        return Rejected({"code": "dispute_closed", "status": row.status})
    return NewAttempt("the dispute does not carry this call's key")


def _taken(row: Any) -> Outcome:
    return Done({name: dispute(row)[name] for name in ("status", "evidence_due_at")})


class _Upload(io.BytesIO):
    """A file as the SDK sends it: with its name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


async def _upload(call: Call) -> Outcome:
    if call.load is None:
        return NotSent("nothing is here to load files from")
    content = await call.load(call.request)
    params = {"purpose": _PURPOSE, "file": _Upload(content, call.request["name"])}
    return _uploaded(await call.v1.files.create_async(params, call.options))


async def _find_file(call: Call) -> Outcome:
    name = call.request["name"]
    found = await find_in_list(
        call.v1.files.list_async, {"purpose": _PURPOSE}, lambda row: row.filename == name, "file"
    )
    return found if isinstance(found, NewAttempt | Unknown) else _uploaded(found)


def _uploaded(row: Any) -> Outcome:
    return Done({"file_id": row.id, "size": row.size})


OPERATIONS = {
    "stripe.file": Operation(Rank.OBJECT, _upload, _find_file),
    "stripe.evidence": Operation(Rank.OBJECT, _send, _find),
}
