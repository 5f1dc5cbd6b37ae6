"""``Idempotency-Key`` (IETF httpapi draft): the same request again gets the same answer.

The key is the sender's, within its API key. An answer to a request of which something was taken is
kept for ever; one of which nothing was taken is not, so that it may be sent again once its cause
is mended. While the first is at work a second is refused (409); a key that comes with another
request is refused (422). Whatever happens to the answer, each session counts once by its own id:
where a process dies before the answer is kept, the repetition does the work again and finds it
done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from wattledger.api.state import State
from wattledger.errors import BadInput, Conflict
from wattledger.ids import content_digest
from wattledger.pipeline.keys import keep, look

_KEY_MAX = 255
# Of this process: another one may be at work on the same key, and then both do work that counts
# once.
_at_work: set[tuple[int, str, str]] = set()


async def once(
    request: Request, key_name: str, raw: bytes, act: Callable[[], Awaitable[Response]]
) -> Response:
    """``act``, or the answer that it gave to the same request before."""
    key = _key(request)
    if key is None:
        return await act()
    state: State = request.app.state.wattledger
    mine = (id(state), key_name, key)
    if mine in _at_work:
        raise Conflict(f"a request with the Idempotency-Key {key!r} is at work; ask again later")
    _at_work.add(mine)
    try:
        source = f"api:idempotency:{key_name}"
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        body = f"{request.method} {target} sha256:{content_digest(raw)}".encode()
        try:
            kept = await look(state.world, source, key, body)
        except Conflict:
            raise BadInput(
                "Idempotency-Key", key, "a key of its own for each request: this one came before"
                " with another"
            ) from None  # fmt: skip
        if kept is not None:
            return Response(
                kept["body"], kept["status"], {"Cache-Control": "no-store"},
                media_type="application/json",
            )  # fmt: skip
        answer = await act()
        if answer.status_code < 300:
            text = bytes(answer.body).decode()
            await keep(state.world, source, key, {"status": answer.status_code, "body": text})
        return answer
    finally:
        _at_work.discard(mine)


def _key(request: Request) -> str | None:
    """The draft's form is a quoted string; a plain one is taken too."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    key = given.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= _KEY_MAX or not key.isascii() or not key.isprintable():
        raise BadInput("Idempotency-Key", given, f"1 to {_KEY_MAX} printable ASCII characters")
    return key
