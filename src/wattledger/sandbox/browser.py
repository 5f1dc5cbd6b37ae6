"""What a browser gets from the sandbox: the stand-in of Stripe.js, and the bank's question."""

from __future__ import annotations

from html import escape
from importlib import resources

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from wattledger.sandbox import params
from wattledger.sandbox.intents import Intents
from wattledger.sandbox.setups import Setups
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, StripeError, invalid

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>The bank</title>
<p>The bank asks whether it is you (a stand-in for 3D Secure).</p>
<form method="post"><input type="hidden" name="client_secret" value="{secret}">
<button name="outcome" value="passed">Yes, it is me</button>
<button name="outcome" value="failed">Fail</button></form></html>"""


class Browser:
    """``/js/v3`` and the page of the bank."""

    def __init__(self, store: Store, intents: Intents, setups: Setups) -> None:
        self._store = store
        self._intents = intents
        self._setups = setups
        self._script = resources.files("wattledger.sandbox").joinpath("stripe.js").read_bytes()

    def routes(self) -> list[Route]:
        return [
            Route("/js/v3", self._js),
            Route("/js/v3/", self._js),
            Route("/_sim/authenticate/{id}", self._page),
            Route("/_sim/authenticate/{id}", self._answer, methods=["POST"]),
        ]

    async def _js(self, _: Request) -> Response:
        return Response(self._script, media_type="text/javascript")

    async def _page(self, request: Request) -> Response:
        """Where ``next_action.redirect_to_url`` leads."""
        try:
            found = self._found(request.path_params["id"])
        except StripeError as missing:
            return JSONResponse(missing.body, missing.status)
        return HTMLResponse(_PAGE.format(secret=escape(found["client_secret"])))

    async def _answer(self, request: Request) -> Response:
        """The cardholder ``passed`` or ``failed``; with a return_url they go back to the shop.

        The client secret is asked for where one is given: the driver of the tests needs none.
        """
        given = dict(params.pairs(await request.body()))
        outcome = given.get("outcome")
        try:
            found = self._found(request.path_params["id"])
            if given.get("client_secret", found["client_secret"]) != found["client_secret"]:
                raise invalid("The client_secret is another intent's.", "client_secret")
            if outcome not in ("passed", "failed"):
                raise invalid("outcome must be passed or failed.", "outcome")
            back = ((found["next_action"] or {}).get("redirect_to_url") or {}).get("return_url")
            self._authenticate(found, passed=outcome == "passed")
        except StripeError as refusal:
            return JSONResponse(refusal.body, refusal.status)
        if back and "text/html" in request.headers.get("accept", ""):
            joint = "&" if "?" in back else "?"
            return RedirectResponse(f"{back}{joint}{found['object']}={found['id']}", 303)
        return JSONResponse({"id": found["id"], "status": found["status"]})

    def _authenticate(self, found: Obj, *, passed: bool) -> None:
        """A refusal of the bank is an outcome, told by the intent and its events."""
        owner = self._intents if found["object"] == "payment_intent" else self._setups
        try:
            owner.authenticate(found["id"], passed=passed)
        except StripeError as refusal:
            if refusal.status != 402:
                raise
        finally:
            self._store.catch_up()

    def _found(self, intent_id: str) -> Obj:
        kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
        return self._store.get(kind, intent_id, "intent")
