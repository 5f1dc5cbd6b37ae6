"""A session's payments on its page, its receipt, and the form that asks for a refund."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.money import format_minor, parse_minor
from wattledger.pipeline.deciding import money_desk, money_view
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.returning import refunds
from wattledger.receipts import links
from wattledger.receipts.settings import MAIL, RECEIPTS, MailSettings, ReceiptSettings
from wattledger.web import forms, handlers, payments
from wattledger.web.bill import Bill
from wattledger.web.money_words import story
from wattledger.web.page import Site
from wattledger.web.places import Conn


async def of_session(
    site: Site, conn: Conn, request: Request, bill: Bill, form: dict[str, Any]
) -> dict[str, Any]:
    """What the page of a session says of its money beyond its bill."""
    key = bill.session["id"]
    now = site.clock.now()
    sent = [act for act in await money_view.acts(conn, key) if act["act"] == "receipt.mail"]
    more = await payments.words(site, conn, request, form)
    asked = await money_view.refunds(conn, session=key)
    paid = await money_view.payments(conn, {"session": key}, now, 100, newest_first=True)
    whole = [await money_view.payment(conn, row["id"], now) for row in paid]
    found = {
        "paid": paid,
        # One hold stands beside the bill already.
        "story": story(whole) if len(whole) > 1 else [],
        "disputes": [dispute for row in whole for dispute in row["disputes"]],
        "refunds": asked,
        "debts": await money_view.debts(conn, session=key, open_only=False),
        "receipt": await _receipt(site, bill),
        "can_refund": site.world is not None and bill.charge is not None,
        # A form that is sent twice asks once; the one after it asks for another.
        "refund_key": form.get("key") or str(len(asked) + 1),
        "can_mail": await _can_mail(site, bill),
        "mail_key": form.get("mail_key") or str(len(sent) + 1),
        "now": now,
    }
    return more | found


async def mail(site: Site, request: Request) -> Response:
    """POST /sessions/{id}/receipt: mail its receipt once more, and go back to the session."""
    if site.world is None:
        raise NotFound("receipts are mailed on the page of `wattledger serve`")
    if not forms.same_page(request):
        return forms.from_elsewhere(site, request)
    form = await forms.read(request)
    session_id = request.path_params["session_id"]
    by = form.get("by", "").strip()
    try:
        asked = Asked(
            subject=session_id, actor=f"page:{forms.person(form)}", reason=form.get("reason", ""),
            to=form.get("to") or None, key=form.get("mail_key", "")[:40] or None,
        )  # fmt: skip
        await money_desk.do(site.world, "receipt.mail", asked)
    except (BadInput, Conflict) as error:
        status = 409 if isinstance(error, Conflict) else 422
        answer = await handlers.show_session(site, request, form, _problem(error, "EUR"), status)
    else:
        site.wake()
        answer = RedirectResponse(
            await payments.back(site, {**form, "back": f"/sessions/{session_id}"}), 303
        )
    return forms.remember(request, answer, by)


async def ask(site: Site, request: Request) -> Response:
    """POST /sessions/{id}/refund: ask for it, and go back to the session."""
    if site.world is None:
        raise NotFound("refunds are asked for on the page of `wattledger serve`")
    if not forms.same_page(request):
        return forms.from_elsewhere(site, request)
    fields = await forms.pairs(request)
    form: dict[str, Any] = {**dict(fields), "line": [v for k, v in fields if k == "line"]}
    session_id = request.path_params["session_id"]
    by = str(form.get("by", "")).strip()
    currency = await _currency(site, session_id)
    try:
        actor = f"page:{forms.person(form)}"
        found = await refunds.ask(
            site.world, session_id, _scope(form, currency), form.get("kind", ""),
            form.get("reason", ""), actor=actor, key=f"{actor}:{form.get('key', '')[:40]}",
        )  # fmt: skip
    except (BadInput, Conflict) as error:
        status = 409 if isinstance(error, Conflict) else 422
        answer = await handlers.show_session(site, request, form, _problem(error, currency), status)
    else:
        site.wake()
        answer = RedirectResponse(f"/sessions/{session_id}?refund={found.id}#refunds", 303)
    return forms.remember(request, answer, by)


_LINE = re.compile(r"[0-9]{1,6}")
_MINOR = re.compile(r"\b(\d+) in minor units")


def _problem(error: Exception, currency: str) -> str:
    """For somebody who typed an amount as people do."""
    if isinstance(error, BadInput):
        expected = _MINOR.sub(lambda at: format_minor(int(at[1]), currency), error.expected)
        names = {"$.reason": "The reason", "$.by": "Your name", "$.scope": "The refund",
                 "$.amount": "The amount", "$.kind": "What it is",
                 "$.to": "The address"}  # fmt: skip
        got = "" if isinstance(error.got, dict | list) else f"this was “{error.got or 'nothing'}”, "
        return f"{names.get(error.path, error.path)}: {got}expected {expected}."
    return f"{error}."


def _scope(form: dict[str, Any], currency: str) -> dict[str, Any]:
    what = form.get("what", "")
    if what == "whole":
        return {"whole": True}
    if what == "lines":
        lines = [int(text) for text in form["line"] if _LINE.fullmatch(text)]
        if not lines:
            raise BadInput("$.scope", "", "one line at least")
        return {"lines": lines}
    if what == "amount":
        text = str(form.get("amount", "")).strip().lstrip("€$£¥").replace(",", ".")
        return {"amount_minor": parse_minor(text, currency, "$.amount")}
    raise BadInput("$.scope", "", "all of it, some lines, or an amount")


async def _currency(site: Site, session_id: str) -> str:
    async with site.snapshot() as conn:
        cursor = await conn.execute(
            "SELECT contract->>'currency' AS currency FROM session WHERE id = %s", (session_id,)
        )
        row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no session {session_id!r}")
    return str(row["currency"])


async def _can_mail(site: Site, bill: Bill) -> bool:
    """Whether there is something to mail, and a server that takes it."""
    if site.world is None or not bill.documents:
        return False
    snapshot = await site.world.snapshot(site.world.now)
    return snapshot.get(MAIL, MAIL, MailSettings) is not None


async def _receipt(site: Site, bill: Bill) -> str | None:
    """The address of its receipt, where there are links and there is something to show."""
    if site.world is None or site.secrets is None or not bill.documents:
        return None
    snapshot = await site.world.snapshot(site.world.now)
    settings = snapshot.get(RECEIPTS, RECEIPTS, ReceiptSettings)
    if settings is None or settings.link_secret_env is None:
        return None
    return f"/r/{links.token(site.secrets(settings.link_secret_env), bill.session['id'])}"
