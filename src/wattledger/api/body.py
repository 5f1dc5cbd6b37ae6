"""Request bodies, never larger than they may be."""

from __future__ import annotations

from starlette.requests import Request

from wattledger.errors import BadInput


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body; it is not read past ``most_bytes``."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise BadInput("body", f"over {most_bytes} bytes", "a smaller request")
        chunks.append(chunk)
    return b"".join(chunks)
