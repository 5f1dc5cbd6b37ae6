"""The page behind the QR code at a charge point: pay by card for this once, charge, stop.

Anybody may open it. What is typed into the processor's own fields never reaches us; the page holds
a key that the browser drew, of which we keep a digest, and by it alone its start can be asked about
and stopped. It comes in a header, never in an address: those are written down on their way.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote as quoted
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route as Path

from wattledger.contract import Route
from wattledger.entitlements.payment_checks import is_address
from wattledger.errors import (
    BadInput,
    Conflict,
    ExternalFault,
    NotFound,
    TooMany,
    WattledgerError,
)
from wattledger.ids import content_digest, derive
from wattledger.payments import starts_store
from wattledger.payments.starts_store import StartRequest
from wattledger.payments.stripe.secret import client_secret
from wattledger.pipeline.charging import remote_start
from wattledger.pipeline.starting import ask_start, start_view, starts
from wattledger.pipeline.starting.ask_start import Wanted
from wattledger.pipeline.starting.start_view import Seen
from wattledger.pipeline.world import World
from wattledger.rate import Rate
from wattledger.receipts import links
from wattledger.web import driver_place, driver_words
from wattledger.web.driver_receipt import AT, Finding
from wattledger.web.page import HEADERS, STATIC, Pool, Site

log = logging.getLogger(__name__)
_KEY = re.compile(r"[0-9a-f]{48}")
_FILES = ("driver.js", "driver.css")
_BODY_MAX_BYTES = 4096
_KEY_HEADER = "x-start-key"
_REAL = "https://js.stripe.com"

Handler = Callable[[Request], Awaitable[Response]]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    charge_point_id: str
    key: str
    connector_id: int | None = None
    email: str | None = None
    consent: bool = False
    again: str | None = None
    """The key of a start before, whose hold may go on."""


class Driver:
    """The page's handlers. ``receipts_by`` names the secret that receipts' links are made with."""

    def __init__(
        self,
        world: World,
        pool: Pool,
        secrets: Callable[[str], str],
        wake: Callable[[], None],
        receipts_by: str | None = None,
    ) -> None:
        self._world = world
        self._pool = pool
        self._secrets = secrets
        self._wake = wake
        self._receipts_by = receipts_by
        self._site = Site(pool, world.work.clock, None)
        self._looks = Rate(per_minute=120, burst=60)
        self._starts = Rate(per_minute=6, burst=6)
        # Many drivers may be one address, of a phone company: who has a key is told apart by it,
        # and only keys that open nothing count for the address.
        self._asks = Rate(per_minute=120, burst=60)
        self._wrong = Rate(per_minute=60, burst=60)
        # What makes a call at the processor.
        self._calls = Rate(per_minute=12, burst=12)

    def routes(self) -> list[Path]:
        """All of them; a charge point's id may have slashes in it, and never begins with a dash."""
        one = "/q/-/start"
        finding = Finding(
            self._world, self._pool, self._secrets, self._receipts_by, self._site, _file, _address
        )
        return [
            *finding.routes(),
            Path("/q/-/static/{name}", self._static),
            Path("/q/-/starts", self._guarded(self._start), methods=["POST"]),
            Path(one, self._guarded(self._look)),
            Path(one + "/secret", self._guarded(self._secret)),
            Path(one + "/paid", self._guarded(self._paid), methods=["POST"]),
            Path(one + "/left", self._guarded(self._left), methods=["POST"]),
            Path(one + "/stop", self._guarded(self._stop), methods=["POST"]),
            Path("/q/{charge_point_id:path}", self._page, methods=["GET"]),
        ]

    async def _page(self, request: Request) -> Response:
        if not self._looks.allows(_address(request)):
            answer = self._html(request, 429, problem=driver_words.TOO_OFTEN)
            answer.headers["Retry-After"] = str(self._looks.retry_after_s)
            return answer
        point_id = request.path_params["charge_point_id"]
        try:
            place = await driver_place.look(
                self._world, self._pool, self._secrets, point_id,
                request.query_params.get("connector"),
            )  # fmt: skip
        except WattledgerError as error:
            log.warning("the page of %r: %s", point_id, error)
            place = driver_place.unknown()
        except Exception:
            log.exception("the page of %r", point_id)
            return self._html(request, 503, problem=driver_words.FAULT)
        return self._html(request, place.status, place=place, problem=place.problem)

    def _html(
        self, request: Request, status: int, *, problem: driver_words.Problem | None,
        place: driver_place.Place | None = None,
    ) -> Response:  # fmt: skip
        source = place.script if place and place.ready else None
        answer = self._site.html(
            "driver.html", request, None, status=status, place=place, problem=problem,
            script=source, file=_file, receipts=AT if self._receipts_by else None,
        )  # fmt: skip
        answer.headers.update(HEADERS | {"Content-Security-Policy": _policy(source)})
        if source:
            answer.headers["Permissions-Policy"] = (
                f'camera=(), geolocation=(), microphone=(), payment=(self "{_origin(source)}")'
            )
            answer.headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            return JSONResponse({"error": "no such file"}, 404)
        return FileResponse(STATIC / name, headers={**HEADERS, "Cache-Control": "no-cache"})

    def _guarded(self, handler: Handler) -> Handler:
        """With its rate, from our own page only, and with errors in words."""

        async def answer(request: Request) -> Response:
            found = self._refusal(request)
            try:
                found = found or await handler(request)
            except NotFound:
                self._wrong.allows(_address(request))
                found = _failed(404, "This start is not known any more.")
            except TooMany as error:
                found = _failed(429, driver_words.no_room(error), error.retry_after_s)
            except (BadInput, Conflict) as error:
                found = _failed(409, str(error))
            except ExternalFault:
                found = _failed(502, "The payment service does not answer. Try again in a moment.")
            except Exception:
                log.exception("%s %s", request.method, request.url.path)
                found = _failed(503, driver_words.FAULT.text)
            found.headers.update({**HEADERS, "Cache-Control": "no-store"})
            return found

        return answer

    def _refusal(self, request: Request) -> Response | None:
        """Another page's request, or one too many."""
        if not _is_own(request):
            return _failed(403, "This page can only be used by itself.")
        key = request.headers.get(_KEY_HEADER, "")
        for rate, whose in ((self._wrong, _address(request)), (self._asks, key)):
            if rate.is_used_up(whose):
                return _failed(429, driver_words.TOO_OFTEN.text, rate.retry_after_s)
        if _KEY.fullmatch(key):
            self._asks.allows(key)
        return None

    async def _start(self, request: Request) -> Response:
        if not self._starts.allows(_address(request)):
            return _failed(429, driver_words.TOO_OFTEN.text, self._starts.retry_after_s)
        body = await _body(request)
        at, reference = body.charge_point_id, _reference(body.key)
        again = derive("sta", at, _reference(body.again)) if body.again else None
        number, problem = await driver_place.may_begin(
            self._world, self._pool, at, body.connector_id
        )
        if problem and (number is None or await self._known(derive("sta", at, reference)) is None):
            return _failed(409, problem.text)
        asked = await ask_start.ask(self._world, Wanted(
            Route.CHECKOUT, at, reference,
            nonce=content_digest(f"nonce:{body.key}".encode()), connector_id=number,
            email=body.email or None, consent=body.consent, retry_of=again, actor="driver:page",
            page=True,
        ))  # fmt: skip
        self._wake()
        if asked.start is None:
            return _failed(409, driver_words.refused(asked.reason))
        return await self._said(asked.start)

    async def _look(self, request: Request) -> Response:
        start = await self._found(request)
        await starts.seen(self._world, start)
        return await self._said(start)

    async def _left(self, request: Request) -> Response:
        """The page is closed, or loaded again: then it comes back in a moment."""
        await starts.page_left(self._world, await self._found(request))
        self._wake()
        return Response(status_code=204)

    async def _secret(self, request: Request) -> Response:
        start = await self._found(request)
        self._check_calls(start)
        seen = await self._seen(start)
        processor, intent_id = await start_view.processor_of(self._world, seen)
        secret = await client_secret(processor, self._secrets, intent_id)
        if secret is None:
            raise NotFound("the processor has no such intent")
        return JSONResponse({"client_secret": secret})

    async def _paid(self, request: Request) -> Response:
        start = await self._found(request)
        self._check_calls(start)
        await start_view.look(self._world, start)
        self._wake()
        return await self._said(start)

    def _check_calls(self, start: StartRequest) -> None:
        if not self._calls.allows(start.id):
            raise TooMany("calls", "too many calls at the processor", self._calls.retry_after_s)

    async def _stop(self, request: Request) -> Response:
        """What runs is stopped; what does not run yet is given up."""
        start = await self._found(request)
        if start.session_id is not None:
            await remote_start.stop_session(self._world, start.charge_point_id, start.session_id)
        else:
            start = await starts.cancel(self._world, start.id, actor="driver:page")
        self._wake()
        return await self._said(start)

    async def _found(self, request: Request) -> StartRequest:
        point_id = request.query_params.get("at", "")
        reference = _reference(request.headers.get(_KEY_HEADER, ""))
        start = await self._known(derive("sta", point_id, reference))
        if start is None:
            raise NotFound("no such start")
        return start

    async def _known(self, start_id: str) -> StartRequest | None:
        async with self._pool.connection() as conn:
            return await starts_store.get(conn, start_id)

    async def _seen(self, start: StartRequest) -> Seen:
        async with self._pool.connection() as conn:
            return await start_view.see(self._world, conn, start)

    async def _said(self, start: StartRequest) -> Response:
        seen = await self._seen(start)
        running = seen.running
        cost = None
        if running is not None and running.total_minor is not None:
            cost = driver_words.money(running.total_minor, seen.currency)
        stage = driver_words.stage(seen)
        return JSONResponse({
            "stage": stage,
            "ready": start_view.needs(seen) == "card",
            "text": driver_words.said(seen, stage),
            "energy_wh": running.energy_wh if running else None,
            "cost": cost,
            "receipt": self._receipt(seen) if stage == "done" else None,
        })  # fmt: skip

    def _receipt(self, seen: Seen) -> str | None:
        if self._receipts_by is None or seen.start.session_id is None:
            return None
        return f"/r/{links.token(self._secrets(self._receipts_by), seen.start.session_id)}"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_own(request: Request) -> bool:
    """Whether our own page asks. What changes something comes as JSON or with a header of ours:
    another page's browser asks us first for those, and we never agree."""
    said, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if said is not None:
        if said != "same-origin":
            return False
    elif origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return False
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return _KEY_HEADER in request.headers or kind == "application/json"


def _failed(status: int, text: str, retry_after_s: int | None = None) -> Response:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return JSONResponse({"error": text}, status, headers)


def _reference(key: str) -> str:
    """The browser's key is a secret of the driver: what we keep of it opens nothing."""
    if not _KEY.fullmatch(key):
        raise BadInput("key", "…", "48 hexadecimal digits")
    return "page:" + content_digest(f"start:{key}".encode())[:40]


async def _body(request: Request) -> _Body:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _BODY_MAX_BYTES:
            raise BadInput("$", "…", f"at most {_BODY_MAX_BYTES} bytes")
    try:
        body = msgspec.json.decode(raw, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput("$", "…", "what the page sends") from None
    if body.email and not is_address(body.email):
        raise BadInput("email", body.email, "an e-mail address, or nothing")
    return body


def _file(name: str) -> str:
    digest = content_digest((STATIC / name).read_bytes())[:10]
    return f"/q/-/static/{quoted(name)}?v={digest}"


def _origin(script: str) -> str:
    return "/".join(script.split("/")[:3])


def _policy(script: str | None) -> str:
    """Our own files, and the processor's fields where they are on the page; nothing inline."""
    own = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'"
    rest = "base-uri 'none'; frame-ancestors 'none'"
    if script is None:
        return f"{own}; script-src 'self'; connect-src 'self'; {rest}"
    origin = _origin(script)
    real = origin == _REAL
    calls = "https://api.stripe.com" if real else origin
    frames = f"{origin} https://*.js.stripe.com https://hooks.stripe.com" if real else origin
    return (
        f"{own}; script-src 'self' {origin}; connect-src 'self' {calls}; frame-src {frames}; {rest}"
    )
