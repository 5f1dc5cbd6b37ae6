"""The floor of the gateway's bench: a bare ``websockets`` and msgspec server that answers
Authorize from a dict and does nothing else. Prints its port; ends with its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys

import msgspec
import uvloop
import websockets.asyncio.server as ws
from websockets.exceptions import ConnectionClosed

TOKENS = {f"T-{i}" for i in range(100)}


class Authorize(msgspec.Struct, rename="camel"):
    """§6.1"""

    id_tag: str


DECODER = msgspec.json.Decoder(tuple[int, str, str, Authorize])
ENCODER = msgspec.json.Encoder()


async def serve(socket: ws.ServerConnection) -> None:
    """Every frame is an Authorize."""
    with contextlib.suppress(ConnectionClosed):
        async for message in socket:
            _, message_id, _, request = DECODER.decode(message)
            status = "Accepted" if request.id_tag in TOKENS else "Invalid"
            answer = ENCODER.encode([3, message_id, {"idTagInfo": {"status": status}}])
            await socket.send(answer.decode())


async def main() -> None:
    """Until standard input ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with ws.serve(
        serve, "127.0.0.1", 0, subprotocols=["ocpp1.6"], compression=None, ping_interval=60,
        max_size=256 * 1024, backlog=4096,
    ) as server:  # fmt: skip
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
