"""After the key's life, or when the key's answer says nothing: what each kind of call is found
back by, and what is proof that it had no effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import stripe

from wattledger.db.effects import Done, Effect, NewAttempt, Outcome, Rejected, Unknown
from wattledger.payments.model import Processor
from wattledger.payments.stripe import operation
from wattledger.payments.stripe.client import StripeGate

CREATED = 1_793_606_400


class Account:
    """What Stripe would answer to reads and lists; any call that changes something fails."""

    def __init__(self, **rows: Any) -> None:
        self.rows = rows
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("terminal", "radar"):
            return self
        return SimpleNamespace(
            retrieve_async=self._one(name),
            list_async=self._all(name),
            search_async=self._all(f"found_{name}"),
        )

    def _one(self, name: str) -> Any:
        async def retrieve(object_id: str, params: Any = None) -> Any:
            self.asked.append(f"{name}/{object_id}")
            return stripe.StripeObject.construct_from(self.rows[name], "key")

        return retrieve

    def _all(self, name: str) -> Any:
        async def page(params: Any) -> Any:
            self.asked.append(name)
            rows = [stripe.StripeObject.construct_from(r, "key") for r in self.rows.get(name, [])]
            return SimpleNamespace(data=rows, has_more=self.rows.get("more", False))

        return page


async def _found(kind: str, request: dict[str, Any], account: Account, **more: Any) -> Outcome:
    """What resolving says two days after the call: past the key's life."""
    processor = Processor("stripe", "north", "stripe", "K", "S", ())
    gate = StripeGate(processor, lambda _: "sk_test_1")
    gate._client = SimpleNamespace(v1=account)  # type: ignore[assignment]
    sent = more.get("sent", datetime.now(UTC) - timedelta(days=2))
    effect = Effect(1, f"stripe.{kind}", "pay_1", "l", 1, "k:1", request, sent, 1, "t", sent, True)
    return await gate.resolve(effect)


def _intent(**more: Any) -> dict[str, Any]:
    return {
        "id": "pi_1", "status": "requires_capture", "currency": "usd", "amount": 2_500,
        "amount_capturable": 2_500, "amount_received": 0, "created": CREATED, "metadata": {},
        "latest_charge": None, "cancellation_reason": None, **more,
    }  # fmt: skip


def _params(attempt: str = "2") -> dict[str, Any]:
    return {"params": {"amount": 2_500, "currency": "usd",
                       "metadata": {"payment_id": "pay_1", "attempt": attempt}}}  # fmt: skip


@pytest.mark.parametrize("kind", ["hold", "intent", "charge"])
async def test_an_intent_is_found_by_its_payment_and_attempt(kind: str) -> None:
    """The first attempt was declined and is there too: it is not this one."""
    status = "succeeded" if kind == "charge" else "requires_capture"
    first = _intent(id="pi_first", metadata={"payment_id": "pay_1", "attempt": "1"})
    other = _intent(id="pi_other", metadata={"payment_id": "pay_2", "attempt": "2"})
    more = {"payment_id": "pay_1", "attempt": "2", "session_id": "ses_1"}
    mine = _intent(id="pi_mine", status=status, metadata=more)
    outcome = await _found(kind, _params(), Account(payment_intents=[other, first, mine]))
    assert isinstance(outcome, Done)
    assert outcome.response["intent_id"] == "pi_mine"
    assert isinstance(
        await _found(kind, _params(), Account(payment_intents=[other, first])), NewAttempt
    )


async def test_search_may_know_what_the_list_is_too_long_for_and_its_silence_is_no_proof(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operation, "PAGES_MAX", 2)
    other = _intent(metadata={"payment_id": "pay_2", "attempt": "2"})
    mine = _intent(id="pi_mine", metadata={"payment_id": "pay_1", "attempt": "2"})
    account = Account(payment_intents=[other], found_payment_intents=[mine], more=True)
    outcome = await _found("hold", _params(), account)
    assert isinstance(outcome, Done)
    assert account.asked == ["payment_intents", "payment_intents", "found_payment_intents"]
    account = Account(payment_intents=[other], found_payment_intents=[], more=True)
    assert isinstance(await _found("hold", _params(), account), Unknown)


async def test_a_hold_that_nothing_names_is_not_sent() -> None:
    outcome = await _found(
        "hold",
        {"params": {"amount": 2_500, "currency": "usd"}},
        Account(),
        sent=datetime.now(UTC),
    )
    assert isinstance(outcome, Rejected)
    assert outcome.response["code"] == "unnamed"


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (_intent(amount=4_000, amount_capturable=4_000), Done),
        (_intent(), NewAttempt),  # a decline leaves no trace: the old amount still stands
        (_intent(status="canceled", amount_capturable=0), Rejected),
        (_intent(status="succeeded", amount_capturable=0, amount_received=2_500), Rejected),
    ],
)
async def test_an_increment_is_found_in_the_intents_amount(
    intent: dict[str, Any], expected: type
) -> None:
    asked = {"intent_id": "pi_1", "amount_minor": 4_000, "currency": "USD"}
    outcome = await _found("increment", asked, Account(payment_intents=intent))
    assert isinstance(outcome, expected), outcome
    if isinstance(outcome, Done):
        assert outcome.response["held_minor"] == 4_000


@pytest.mark.parametrize(
    ("held", "expected"),
    # 25.00 to 40.00 was asked. 70 % of the 15.00 more are 10.50: 35.50; or nothing came of it.
    [(3_550, Done), (2_500, NewAttempt)],
)
async def test_an_increment_that_was_approved_in_part_had_its_effect(
    held: int, expected: type
) -> None:
    asked = {"intent_id": "pi_1", "amount_minor": 4_000, "held_minor": 2_500, "currency": "USD"}
    intent = _intent(amount=held, amount_capturable=held)
    outcome = await _found("increment", asked, Account(payment_intents=intent))
    assert isinstance(outcome, expected), outcome
    if isinstance(outcome, Done):
        assert outcome.response["held_minor"] == 3_550


async def test_a_capture_of_a_hold_that_lapsed_says_that_it_is_gone_and_why() -> None:
    gone = _intent(status="canceled", cancellation_reason="automatic")
    asked = {"intent_id": "pi_1", "amount_minor": 440, "currency": "USD"}
    outcome = await _found("capture", asked, Account(payment_intents=gone))
    assert outcome == Rejected({"code": "canceled", "status": "canceled", "why": "automatic"})


async def test_a_release_of_what_was_taken_says_how_much() -> None:
    taken = _intent(status="succeeded", amount_received=2_000)
    outcome = await _found("release", {"intent_id": "pi_1"}, Account(payment_intents=taken))
    assert outcome == Rejected({"code": "captured", "status": "succeeded", "captured_minor": 2_000})


def _refund(refund_id: str, **metadata: str) -> dict[str, Any]:
    return {"id": refund_id, "status": "succeeded", "amount": 440, "currency": "usd",
            "charge": "ch_1", "payment_intent": "pi_1", "created": CREATED,
            "metadata": metadata}  # fmt: skip


async def test_a_refund_is_found_among_those_of_its_charge() -> None:
    asked = {"external_charge_id": "ch_1", "amount_minor": 440, "currency": "USD",
             "metadata": {"payment_refund_id": "back_1"}}  # fmt: skip
    other = _refund("re_other", payment_refund_id="back_2")
    by_hand = _refund("re_by_hand")
    mine = _refund("re_1", payment_refund_id="back_1")
    outcome = await _found("refund", asked, Account(refunds=[other, by_hand, mine]))
    assert outcome == Done(
        {"refund_id": "re_1", "status": "succeeded", "amount_minor": 440, "failure_reason": None}
    )
    none = await _found("refund", asked, Account(refunds=[other, by_hand]))
    assert isinstance(none, NewAttempt)


@pytest.mark.parametrize(
    ("status", "mark", "expected"),
    [
        ("under_review", "k:1", Done),
        ("needs_response", "k:0", NewAttempt),
        ("needs_response", None, NewAttempt),
        ("lost", None, Rejected),
    ],
)
async def test_evidence_is_found_by_the_key_it_leaves_on_the_dispute(
    status: str, mark: str | None, expected: type
) -> None:
    row = {"id": "du_1", "status": status, "amount": 440, "currency": "usd", "charge": "ch_1",
           "payment_intent": "pi_1", "reason": "fraudulent", "created": CREATED,
           "evidence_details": {"due_by": None},
           "metadata": {"wattledger_key": mark} if mark else {}}  # fmt: skip
    asked = {"dispute_id": "du_1", "evidence": {"uncategorized_text": "t"}, "submit": True}
    assert isinstance(await _found("evidence", asked, Account(disputes=row)), expected)


@pytest.mark.parametrize(
    ("filename", "expected"), [("receipt-du_1-aa.pdf", Done), ("receipt-du_1-bb.pdf", NewAttempt)]
)
async def test_a_file_is_found_by_its_name_which_has_its_digest(
    filename: str, expected: type
) -> None:
    row = {"id": "file_1", "filename": filename, "size": 5}
    asked = {"dispute_id": "du_1", "field": "receipt", "name": "receipt-du_1-aa.pdf", "size": 5}
    assert isinstance(await _found("file", asked, Account(files=[row])), expected)


def _reader(intent_id: str | None, status: str = "in_progress") -> dict[str, Any]:
    action = {"type": "process_payment_intent", "status": status, "failure_code": None,
              "process_payment_intent": {"payment_intent": intent_id}}  # fmt: skip
    return {"id": "tmr_1", "status": "online", "action": action if intent_id else None}


@pytest.mark.parametrize(
    ("intent_status", "on_reader", "expected"),
    [
        # The reader did not answer, and the card was held: a false negative.
        ("requires_capture", None, Done({"action_status": "succeeded"})),
        ("requires_payment_method", "pi_1", Done({"action_status": "in_progress"})),
        ("requires_payment_method", None, Rejected({"code": "terminal_reader_timeout"})),
        ("requires_payment_method", "pi_2", Rejected({"code": "terminal_reader_timeout"})),
        ("canceled", None, Rejected({"code": "canceled"})),
    ],
)
async def test_a_reader_that_did_not_answer_is_asked_and_so_is_the_intent(
    intent_status: str, on_reader: str | None, expected: Outcome
) -> None:
    """Two minutes later nobody stands there: what was not heard is not sent again."""
    account = Account(payment_intents=_intent(status=intent_status), readers=_reader(on_reader))
    asked = {"reader_id": "tmr_1", "intent_id": "pi_1"}
    sent = datetime.now(UTC) - timedelta(minutes=2)
    assert await _found("reader", asked, account, sent=sent) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (_reader(None), Done({})),
        (_reader("pi_1", "succeeded"), Done({})),
        (_reader("pi_1"), NewAttempt("the reader still has its action")),
    ],
)
async def test_a_reader_without_an_action_has_been_cancelled(
    row: dict[str, Any], expected: Outcome
) -> None:
    assert await _found("reader_cancel", {"reader_id": "tmr_1"}, Account(readers=row)) == expected
