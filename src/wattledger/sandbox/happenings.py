"""What happens outside of the API, when the driver of a test says so, at the present time of
the clock. All are POST with a JSON object, every value in it optional unless it is named alone:

``/_sim/dispute``               ``charge`` or ``payment_intent``; reason, amount, inquiry,
                                evidence_due_days
``/_sim/dispute/{id}/close``    ``outcome`` (won, lost)
``/_sim/dispute/{id}/escalate`` an inquiry becomes a chargeback
``/_sim/fraud_warning``         ``charge`` or ``payment_intent``; fraud_type
``/_sim/refund/{id}/fail``      reason; and ``/succeed`` for one that is pending
``/_sim/payouts/{id}/fail``     the bank sends it back, paid already or not
``/_sim/fee``                   ``amount``; category (fee, network_cost), currency, description
``/_sim/reader/{id}/present``   number, wallet, outcome (reported, lost, connection_error),
                                processing_s: how long the reader is busy with it
``/_sim/reader/{id}/fail``      code (customer_canceled, connection_error)
``/_sim/reader/{id}/timeout``   received (the reader got the command all the same), times
``/_sim/reader/{id}/busy``      busy
``/_sim/reader/{id}/offline``   it goes dark, and ``/online`` comes back
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wattledger.errors import BadInput
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.control import guarded, json_body
from wattledger.sandbox.disputes import FRAUD_TYPES, REASONS, Disputes
from wattledger.sandbox.payouts import Payouts
from wattledger.sandbox.refunds import Refunds
from wattledger.sandbox.terminal import OUTCOMES, Terminal
from wattledger.sandbox.wire import Obj

Act = Callable[[dict[str, str], dict[str, Any]], Obj]


class Happenings:
    """The endpoints; each answers with the object that it changed."""

    def __init__(
        self,
        balance: Balance,
        refunds: Refunds,
        disputes: Disputes,
        payouts: Payouts,
        terminal: Terminal,
    ) -> None:
        self._store = balance.store
        self._balance = balance
        self._refunds = refunds
        self._disputes = disputes
        self._payouts = payouts
        self._terminal = terminal

    def routes(self) -> list[Route]:
        acts: dict[str, Act] = {
            "dispute": self._dispute,
            "dispute/{id}/close": self._close_dispute,
            "dispute/{id}/escalate": self._escalate,
            "fraud_warning": self._warn,
            "refund/{id}/fail": self._fail_refund,
            "refund/{id}/succeed": self._succeed_refund,
            "payouts/{id}/fail": lambda path, _: self._payouts.fail(path["id"]),
            "fee": self._fee,
            "reader/{id}/present": self._present,
            "reader/{id}/fail": self._fail_reader,
            "reader/{id}/timeout": self._time_out,
            "reader/{id}/busy": self._occupy,
            "reader/{id}/offline": lambda path, _: self._terminal.silence(path["id"]),
            "reader/{id}/online": lambda path, _: self._terminal.wake(path["id"]),
        }
        return [
            Route(f"/_sim/{path}", guarded(_endpoint(act)), methods=["POST"])
            for path, act in acts.items()
        ]

    def _charge(self, body: dict[str, Any]) -> Obj:
        """The captured charge that ``charge`` or ``payment_intent`` names."""
        charge_id = body.get("charge")
        if body.get("payment_intent"):
            intent = self._store.get("payment_intent", str(body["payment_intent"]))
            charge_id = intent["latest_charge"]
        charge = self._store.get("charge", str(charge_id), "charge")
        if not charge["captured"]:
            raise BadInput("$.charge", charge_id, "a captured charge")
        return charge

    def _dispute(self, _: dict[str, str], body: dict[str, Any]) -> Obj:
        return self._disputes.open(
            self._charge(body),
            reason=_one_of(body, "reason", REASONS, "fraudulent"),
            amount_minor=_whole(body, "amount", None, least=1),
            inquiry=_flag(body, "inquiry", default=False),
            due_days=_whole(body, "evidence_due_days", None, least=0),
        )

    def _close_dispute(self, path: dict[str, str], body: dict[str, Any]) -> Obj:
        dispute = self._store.get("dispute", path["id"])
        outcome = _one_of(body, "outcome", ("won", "lost"), None)
        self._disputes.decide(dispute, won=outcome == "won")
        return dispute

    def _escalate(self, path: dict[str, str], _: dict[str, Any]) -> Obj:
        dispute = self._store.get("dispute", path["id"])
        self._disputes.escalate(dispute)
        return dispute

    def _warn(self, _: dict[str, str], body: dict[str, Any]) -> Obj:
        fraud_type = _one_of(body, "fraud_type", FRAUD_TYPES, "made_with_stolen_card")
        return self._disputes.warn(self._charge(body), fraud_type)

    def _fail_refund(self, path: dict[str, str], body: dict[str, Any]) -> Obj:
        refund = self._store.get("refund", path["id"])
        reasons = ("expired_or_canceled_card", "lost_or_stolen_card", "declined", "unknown")
        self._refunds.fail(refund, _one_of(body, "reason", reasons, "expired_or_canceled_card"))
        return refund

    def _succeed_refund(self, path: dict[str, str], _: dict[str, Any]) -> Obj:
        refund = self._store.get("refund", path["id"])
        self._refunds.succeed(refund)
        return refund

    def _fee(self, _: dict[str, str], body: dict[str, Any]) -> Obj:
        """A cost by itself, as IC+ pricing books them."""
        category = _one_of(body, "category", ("fee", "network_cost"), "fee")
        amount_minor = _whole(body, "amount", None, least=1)
        if amount_minor is None:
            raise BadInput("$.amount", None, "a whole number of at least 1")
        currency = str(body.get("currency", "usd")).lower()
        text = str(body.get("description", "Card payments: network costs"))
        return self._balance.charge_fee(currency, amount_minor, category, text)

    def _present(self, path: dict[str, str], body: dict[str, Any]) -> Obj:
        wallet = body.get("wallet")
        return self._terminal.hold_card(
            path["id"],
            str(body.get("number", "4242424242424242")),
            wallet=None if wallet is None else str(wallet),
            outcome=_one_of(body, "outcome", OUTCOMES, "reported"),
            processing_s=_whole(body, "processing_s", 0, least=0) or 0,
        )

    def _fail_reader(self, path: dict[str, str], body: dict[str, Any]) -> Obj:
        codes = ("customer_canceled", "connection_error")
        code = _one_of(body, "code", codes, "customer_canceled")
        return self._terminal.fail(path["id"], code)

    def _time_out(self, path: dict[str, str], body: dict[str, Any]) -> Obj:
        return self._terminal.time_out(
            path["id"],
            received=_flag(body, "received", default=True),
            times=_whole(body, "times", 1, least=1) or 1,
        )

    def _occupy(self, path: dict[str, str], body: dict[str, Any]) -> Obj:
        return self._terminal.occupy(path["id"], busy=_flag(body, "busy", default=True))


def _endpoint(act: Act) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        body = await json_body(request) if await request.body() else {}
        return JSONResponse(act(request.path_params, body))

    return answer


def _one_of(body: dict[str, Any], name: str, choices: Collection[str], default: str | None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or value not in choices:
        raise BadInput(f"$.{name}", value, f"one of {sorted(choices)}")
    return value


def _whole(body: dict[str, Any], name: str, default: int | None, *, least: int) -> int | None:
    value = body.get(name, default)
    if value is not None and (type(value) is not int or value < least):
        raise BadInput(f"$.{name}", value, f"a whole number of at least {least}")
    return value


def _flag(body: dict[str, Any], name: str, *, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise BadInput(f"$.{name}", value, "true or false")
    return value
