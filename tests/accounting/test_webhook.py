"""Signed webhooks, verified by an implementation that is not ours."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from wattledger.accounting.model import Target
from wattledger.accounting.webhook import WebhookGate, body_of, sign
from wattledger.db.effects import Done, Effect, NotSent, Outcome, Unknown
from wattledger.errors import ConfigError

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
NOW = datetime(2026, 11, 2, tzinfo=UTC)
TARGET = Target("books", "north", "http://127.0.0.1:9/in", "W")
REQUEST = {"type": "session.billed", "data": {"total_minor": 440, "name": "Zoë"}}


def _effect(request: dict[str, object] = REQUEST, tries: int = 1) -> Effect:
    return Effect(1, "webhook.deliver", "books", "hook", 1, "books:ses_1:session.billed", request,
                  NOW, tries, f"1:1:{tries}", NOW, False)  # fmt: skip


async def _deliver(answer: object, effect: Effect | None = None) -> tuple[Outcome, httpx.Request]:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(int(str(answer)))

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        gate = WebhookGate(TARGET, lambda _: SECRET, client)
        return await gate.call(effect or _effect()), seen[0]


async def test_the_library_verifies_what_we_sign() -> None:
    outcome, request = await _deliver(200)
    assert Webhook(SECRET).verify(request.content, dict(request.headers)) == REQUEST
    assert outcome == Done({"status": 200, "message_id": request.headers["webhook-id"]})
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 10


def test_we_sign_as_the_library_does() -> None:
    body = '{"a":1}'
    at = datetime(2026, 11, 2, 12, tzinfo=UTC)
    theirs = Webhook(SECRET).sign("msg_1", at, body)
    assert sign(SECRET, "msg_1", int(at.timestamp()), body.encode()) == theirs


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "secret"])
async def test_a_changed_message_is_not_verified(change: str) -> None:
    _, request = await _deliver(200)
    headers, body, secret = dict(request.headers), request.content, SECRET
    if change == "body":
        body = body.replace(b"440", b"441")
    elif change == "secret":
        secret = "whsec_" + base64.b64encode(b"another-secret-of-24-byt").decode()
    else:
        headers[change] = str(int(time.time()) - 1) if "time" in change else "msg_other"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


async def test_a_repetition_has_the_same_id_and_the_same_bytes() -> None:
    """jsonb gives keys back in another order than they were written in."""
    reordered = {"data": {"name": "Zoë", "total_minor": 440}, "type": "session.billed"}
    _, first = await _deliver(500)
    _, again = await _deliver(200, _effect(reordered, tries=2))
    assert first.content == again.content == body_of(REQUEST)
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert json.loads(first.content) == REQUEST


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (204, Done),
        (400, NotSent),
        (500, NotSent),
        (302, NotSent),
        (httpx.ConnectError("refused"), NotSent),
        (httpx.ConnectTimeout("slow"), NotSent),
        (httpx.ReadTimeout("hangs"), Unknown),
        (httpx.RemoteProtocolError("dropped"), Unknown),
    ],
)
async def test_what_an_answer_means(answer: object, outcome: type) -> None:
    assert isinstance((await _deliver(answer))[0], outcome)


def test_a_secret_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="whsec_ and base64"):
        sign("whsec_not base64!", "m", 1, b"")
