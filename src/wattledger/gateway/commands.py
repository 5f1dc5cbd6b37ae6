"""Commands to charge points: each effect ``ocpp.<name>`` as CALLs of the connection's version, and
what the answer makes of the effect.

What was refused or can't be said is ``Rejected`` with a code: the station's own word or error code,
``expired``, ``no_answer``, ``not_in_version`` or ``unreadable``. To ask for most things twice is
harmless, so a CALL without an answer is repeated, ``TRIES_MAX`` times in all, since everything else
in the charge point's lane waits for it. A remote start is never given twice: after a time-out we
only look whether its session has begun.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from wattledger.db.effects import Done, Effect, Outcome, Rejected, Unknown
from wattledger.errors import BadInput
from wattledger.gateway import settings
from wattledger.gateway.words import NotSaid, Words, say
from wattledger.pipeline.charging import remote_start
from wattledger.pipeline.stations import local_list
from wattledger.wire.ocpp import v2, v2_sent
from wattledger.wire.ocpp.frames import CallError

if TYPE_CHECKING:
    from wattledger.gateway.connection import Connection

TIMEOUT_S = 25
"""For one answer: less than the worker waits for the whole outcome."""
TRIES_MAX = 3
LOOKS_MAX = 10
"""How often we look for the session of a remote start: some 25 seconds by the backoff."""


async def give(connection: Connection, effect: Effect, now: datetime) -> Outcome:
    """Give the command, or find out what became of it. ``now`` is business time."""
    name = effect.kind.removeprefix("ocpp.")
    expired = datetime.fromisoformat(effect.request["expires_at"]) <= now
    if effect.resolving and name == "remote_start":
        return await _look(connection, effect, expired=expired)
    if expired:
        return Rejected({"code": "expired"})
    if effect.resolving and effect.tries > TRIES_MAX and name != "remote_stop":
        return Rejected({"code": "no_answer"})
    try:
        return await _give(connection, name, effect)
    except NotSaid as error:
        return Rejected({"code": "not_in_version", "why": str(error)})
    except (TimeoutError, ConnectionError) as error:
        return Unknown(str(error) or "no answer in time")


async def _give(connection: Connection, name: str, effect: Effect) -> Outcome:
    async def ask(words: Words, part: str = "") -> dict[str, Any] | CallError:
        answer = await connection.call(
            f"e{effect.id}-{effect.tries}{part}", words.action, words.payload, TIMEOUT_S
        )
        return answer if isinstance(answer, CallError) else answer.payload

    version, request = connection.protocol.version, effect.request
    if name == "configure":
        return await settings.give(version, request["settings"], ask)
    if name == "send_local_list":
        # As it is now: what stands in the effect is which list it was written for.
        tokens, number = await local_list.tokens(connection.world, request["charge_point_id"])
        request = {**request, "tokens": tokens, "version": number}
    answer = await ask(say(version, name, request, effect.key))
    if isinstance(answer, CallError):
        return Rejected({"code": answer.code, "message": answer.description})
    return judge(name, answer, again=effect.resolving)


class _Status(msgspec.Struct):
    status: str


def judge(name: str, answer: dict[str, Any], *, again: bool = False) -> Outcome:
    """What an answer makes of its effect. ``again``: the CALL was given before, without one."""
    try:
        if name == "get_transaction_status":
            v2.read(answer, v2_sent.TransactionStatus)
            return Done(answer)
        if name == "cost_updated":
            return Done(answer)
        status = msgspec.convert(answer, _Status).status
    except (BadInput, msgspec.ValidationError) as error:
        if name == "remote_start":
            return Unknown(f"the answer can't be read: {error}")  # it may start all the same
        return Rejected({"code": "unreadable", "why": str(error), "answer": answer})
    known = again and name == "set_tariff" and status == "DuplicateTariffId"
    known |= name == "default_price" and status == "RebootRequired"  # it is kept
    if status == "Accepted" or known:
        return Done(answer)
    return Rejected({**answer, "code": status})


async def _look(connection: Connection, effect: Effect, *, expired: bool) -> Outcome:
    """A remote start whose answer is not known: has its session begun? It is not given again."""
    found = await remote_start.session_of(connection.world, effect.request)
    if found is not None:
        return Done({"status": "Accepted", "session_id": found})
    if expired or effect.tries >= LOOKS_MAX:
        return Rejected({"code": "no_answer"})
    return Unknown("no answer, and its session has not begun")
