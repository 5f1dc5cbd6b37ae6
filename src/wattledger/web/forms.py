"""Forms that change something: from a page of ours and no other, with the name of who decides.

What a browser says of where a form came from is checked, and the name is remembered in a cookie.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from wattledger.errors import BadInput
from wattledger.web.page import Site

FORM_MAX_BYTES = 20_000
COOKIE = "wattledger_by"
_YEAR_S = 365 * 24 * 3600
_NAME_MAX = 90


def same_page(request: Request) -> bool:
    """Whether a browser says that the form stood on a page of ours.

    Sec-Fetch-Site where there is one (only over TLS or on loopback), else Origin against Host;
    one of them comes with every form of a browser of this decade.
    """
    said = request.headers.get("sec-fetch-site")
    if said is not None:
        return said == "same-origin"
    origin = request.headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc == request.headers.get("host")


def from_elsewhere(site: Site, request: Request) -> Response:
    """The answer to a form of another page."""
    return site.failed(
        request, 403, "This form came from elsewhere",
        "A decision counts only from this page itself. Nothing was changed: load the page that it"
        " is about and decide there. Behind a proxy, let it pass the header Host on.",
    )  # fmt: skip


async def read(request: Request) -> dict[str, str]:
    """The fields of a form; of a name that comes several times the last."""
    return dict(await pairs(request))


async def pairs(request: Request) -> list[tuple[str, str]]:
    """The fields in their order. Raises BadInput for a form that is too long."""
    size, chunks = 0, []
    async for chunk in request.stream():
        size += len(chunk)
        if size > FORM_MAX_BYTES:
            raise BadInput("The form", f"over {FORM_MAX_BYTES} bytes", "a shorter reason")
        chunks.append(chunk)
    text = b"".join(chunks).decode("utf-8", "replace")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise BadInput("The form", "over 200 fields", "fewer") from None


def person(form: dict[str, str]) -> str:
    """The name of who decides. Raises BadInput without one."""
    by = form.get("by", "").strip()
    if not 1 <= len(by) <= _NAME_MAX or not by.isprintable():
        raise BadInput("$.by", by, f"your name, in 1 to {_NAME_MAX} letters")
    return by


def name_of(request: Request) -> str:
    """The name that was given last."""
    return unquote(request.cookies.get(COOKIE, ""))


def remember(request: Request, answer: Response, by: str) -> Response:
    """The answer, with the name for the next form: only a name, which lets nobody do anything."""
    if by:
        answer.set_cookie(
            COOKIE, quote(by), max_age=_YEAR_S, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
    return answer
