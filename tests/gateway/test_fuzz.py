"""Whatever comes in: never a crash, never an unanswered CALL, and the connection stays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from typing import Any

import pytest

from gateway_edge import Listening, ask, until
from wattledger.ingest.journal import LINGER_S

FRAMES = 400
_ACTIONS = [
    "Authorize", "BootNotification", "DataTransfer", "Heartbeat", "MeterValues",
    "StartTransaction", "StatusNotification", "StopTransaction", "TransactionEvent",
    "NotifyReport", "SecurityEventNotification", "Nonsense", "", "\u0000", "Ünïcode",
]  # fmt: skip
_FIELDS = [
    "idTag", "connectorId", "meterStart", "timestamp", "meterValue", "transactionId", "status",
    "sampledValue", "eventType", "transactionInfo", "seqNo", "idToken", "evse", "x",
]  # fmt: skip


def _value(random_: random.Random, depth: int = 0) -> Any:
    choices = [
        None, True, 0, -1, 2**31, 2**70, 1e300, -0.5, "", "\u0000", "2026-11-02T00:00:00Z",
        "0000-13-99", "x" * 300, "é\U0001f50c", "Accepted", "D-1",
    ]  # fmt: skip
    kind = random_.random()
    if depth < 4 and kind < 0.25:
        return [_value(random_, depth + 1) for _ in range(random_.randrange(4))]
    if depth < 4 and kind < 0.55:
        names = random_.sample(_FIELDS, random_.randrange(5))
        return {name: _value(random_, depth + 1) for name in names}
    return random_.choice(choices)


def _frame(random_: random.Random, number: int) -> tuple[str | bytes, str | None]:
    """A message, and the id of the CALL in it that has to be answered."""
    message_id = f"f{number}"
    kind = random_.random()
    if kind < 0.6:
        payload = {name: _value(random_) for name in random_.sample(_FIELDS, 4)}
        return json.dumps([2, message_id, random_.choice(_ACTIONS), payload]), message_id
    if kind < 0.7:  # a CALL with something wrong in it, whose id can be made out
        rest = [_value(random_) for _ in range(random_.randrange(4))]
        return json.dumps([2, message_id, *rest]), message_id
    others: list[str | bytes] = [
        json.dumps(_value(random_)),
        json.dumps([random_.choice([3, 4, 5, 6, 7, -1]), "no", {}, {}, {}]),
        "[" * random_.randrange(1, 5000),
        random_.randbytes(random_.randrange(200)),
        f'[2,"c{number}","Authorize",{{"idTag":'[: random_.randrange(34)],
    ]
    return random_.choice(others), None


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
async def test_fuzzed_frames(listening: Listening, version: str) -> None:
    seed = random.Random(f"edge {version}")
    async with listening(frames_per_s=10_000) as edge:
        socket = await edge.connect(offers=(version,))
        frames = [_frame(seed, number) for number in range(FRAMES)]
        expected = {message_id for _, message_id in frames if message_id is not None}
        answered: set[str] = set()

        async def listen() -> None:
            async for raw in socket:
                answer = json.loads(raw)
                assert answer[0] in (3, 4), answer
                assert answer[1] == "-1" or answer[1] not in answered, answer
                answered.add(answer[1])

        listening_task = asyncio.create_task(listen())
        for raw, _ in frames:
            await socket.send(raw)
        await until(lambda: expected <= answered or listening_task.done(), 20)
        assert expected <= answered
        listening_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening_task
        # The same connection, still of use.
        assert (await ask(socket, "Heartbeat", {}, "last"))[0] == 3
        # Every frame that is no heartbeat was kept as it came.
        await asyncio.sleep(2 * LINGER_S)
        kept = await edge.rows("SELECT count(*) AS n FROM frame WHERE direction = 'in'")
        beats = await edge.rows("SELECT count(*) AS n FROM frame WHERE raw LIKE '%\"Heartbeat\"%'")
        sent_beats = sum(b'"Heartbeat"' in _bytes(raw) for raw, _ in frames)
        assert kept[0]["n"] + sent_beats - beats[0]["n"] == FRAMES


def _bytes(raw: str | bytes) -> bytes:
    return raw.encode() if isinstance(raw, str) else raw
