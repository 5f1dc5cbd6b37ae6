"""A terminal's vendor is told what a session came to, so that it takes that much.

Over HTTP: ``POST {url}/settlements`` with an ``Idempotency-Key``, signed as our webhooks are; a
call without an answer is looked up, ``GET {url}/settlements/{reference}``, before it is sent again.
As a file: one for each settlement, under its final name only once it is whole; the vendor reports
what it took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from wattledger import money
from wattledger.db.effects import Done, Effect, NotSent, Outcome, Rejected, Unknown
from wattledger.entitlements.terminals import TerminalVendor
from wattledger.errors import BadInput
from wattledger.ids import derive
from wattledger.payments.terminal.signing import signed
from wattledger.wire import exact

_SAID_MAX = 200


def body_of(request: Mapping[str, Any]) -> bytes:
    """What the vendor is told: the same bytes for the same settlement."""
    amount = money.major_text(int(request["amount_minor"]), request["currency"])
    told = {"reference": request["reference"], "amount": amount, "currency": request["currency"]}
    return msgspec.json.encode(told, order="deterministic")


class HttpVendor:
    """One vendor over HTTP."""

    def __init__(
        self, vendor: TerminalVendor, secrets: Callable[[str], str], client: httpx.AsyncClient
    ) -> None:
        assert vendor.url, "checked where it was configured"
        assert vendor.secret_env, "checked where it was configured"
        self._vendor, self._client = vendor, client
        self._url = vendor.url.rstrip("/") + "/settlements"
        self._secret = secrets(vendor.secret_env)

    async def call(self, effect: Effect) -> Outcome:
        """Tell it once, under the effect's key."""
        body = body_of(effect.request)
        headers = self._headers(effect, body) | {
            "content-type": "application/json", "idempotency-key": effect.key,
        }  # fmt: skip
        return await self._send("POST", self._url, effect, headers, body)

    async def resolve(self, effect: Effect) -> Outcome:
        """What became of it: what the vendor knows counts. What it does not know was not taken in,
        and is told again under the same key."""
        url = f"{self._url}/{quote(str(effect.request['reference']), safe='')}"
        found = await self._send("GET", url, effect, self._headers(effect, b""), None)
        if isinstance(found, Rejected) and found.response.get("status") == 404:
            return await self.call(effect)
        return found

    def _headers(self, effect: Effect, body: bytes) -> dict[str, str]:
        return signed(self._secret, derive("msg", effect.key), int(time.time()), body)

    async def _send(
        self, method: str, url: str, effect: Effect, headers: dict[str, str], body: bytes | None
    ) -> Outcome:
        try:
            answer = await self._client.request(
                method, url, content=body, headers=headers, timeout=self._vendor.timeout_s
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return NotSent(f"{url} can't be reached: {type(error).__name__}")
        except httpx.HTTPError as error:
            return Unknown(f"no answer from {url}: {type(error).__name__}")
        if answer.status_code == 429:
            return NotSent(f"{url} answered 429")
        if answer.status_code >= 500 or answer.status_code in (408, 409):
            return Unknown(f"{url} answered {answer.status_code}")
        if not answer.is_success:
            return Rejected({"code": f"http_{answer.status_code}", "status": answer.status_code,
                             "message": answer.text[:_SAID_MAX]})  # fmt: skip
        return _taken(answer.content, effect)


def _taken(raw: bytes, effect: Effect) -> Outcome:
    """``{"status": "settled" | "pending" | "refused", "amount": "12.34"}``: what is pending is
    reported later; a status that nobody knows is no proof of anything."""
    try:
        said = exact.parse(raw)
        status = said.get("status") if isinstance(said, dict) else None
        if status == "settled":
            amount = money.parse_minor(str(said.get("amount")), effect.request["currency"])
            return Done({"captured_minor": amount})
    except BadInput as error:
        return Unknown(f"its answer can't be read: {error}", look_up=True)
    if status == "pending":
        return Done({"captured_minor": None, "status": "pending"})
    if status == "refused":
        return Rejected({"code": "refused", "message": str(said.get("why", ""))[:_SAID_MAX]})
    return Unknown("its answer says neither settled, pending nor refused", look_up=True)


class FileVendor:
    """One vendor that finds its settlements in a directory."""

    def __init__(self, vendor: TerminalVendor, base: Path) -> None:
        assert vendor.directory, "checked where it was configured"
        self._directory = base.joinpath(vendor.directory)

    async def call(self, effect: Effect) -> Outcome:
        """Write it. The same settlement is the same file: twice is once."""
        name = derive("settle", effect.key)
        whole = self._directory.joinpath(f"{name}.json")
        part = self._directory.joinpath(f".{name}.part")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            part.write_bytes(body_of(effect.request) + b"\n")
            part.replace(whole)
        except OSError as error:
            return NotSent(f"{whole} can't be written: {error.strerror}")
        return Done({"captured_minor": None, "status": "written"})

    async def resolve(self, effect: Effect) -> Outcome:
        """Written again, which changes nothing."""
        return await self.call(effect)


def vendor_gate(
    vendor: TerminalVendor, secrets: Callable[[str], str], client: httpx.AsyncClient, base: Path
) -> HttpVendor | FileVendor:
    """The way out to a vendor; directories are beside the configuration, in ``base``."""
    if vendor.kind == "file":
        return FileVendor(vendor, base)
    return HttpVendor(vendor, secrets, client)
