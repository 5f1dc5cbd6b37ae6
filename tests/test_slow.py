"""Clients that send slowly keep nobody waiting, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from wattledger.slow import Impatient, InTime


class Quick(Impatient):
    head_s = 1


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse((await request.body()).decode())


async def _stream(request: Request) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for n in range(4):
            yield f"{n}\n"
            await asyncio.sleep(0.5)

    return StreamingResponse(lines())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/", _echo, methods=["POST"]), Route("/stream", _stream)])
    config = uvicorn.Config(InTime(app, body_s=1), port=0, http=Quick, log_level="critical",
                            lifespan="off")  # fmt: skip
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "it is up, or comes up"
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def _says(port: int, *parts: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        async with asyncio.timeout(8):
            return await reader.read()
    finally:
        writer.close()


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"


@pytest.mark.parametrize("sent", [b"", b"POST / HT", HEAD])
async def test_a_head_that_does_not_come_ends_the_connection(port: int, sent: bytes) -> None:
    assert await _says(port, sent) == b""


async def test_a_body_that_does_not_come_is_answered(port: int) -> None:
    answer = await _says(port, HEAD + b"\r\n", b"abc")
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_long_body_has_more_time_than_a_short_one(port: int) -> None:
    """Five parts of 16 KiB, one each 0.6 s: 3 s in all, with 1 s and one more for each part."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    part = b"x" * 16 * 1024
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % (5 * len(part)))  # fmt: skip
    for _ in range(5):
        writer.write(part)
        await asyncio.sleep(0.6)
    async with asyncio.timeout(8):
        assert (await reader.read()).endswith(part * 5)
    writer.close()


async def test_a_second_request_that_does_not_come_whole_ends_it_too(port: int) -> None:
    answer = await _says(port, HEAD + b"\r\nhello", b"POST / HTTP/1.1\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"hello")


async def test_an_answer_may_take_longer_than_a_request(port: int) -> None:
    """Pages that stay open for news: 2 s here."""
    answer = await _says(port, b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"0\r\n\r\n")
    assert b"3\n" in answer
