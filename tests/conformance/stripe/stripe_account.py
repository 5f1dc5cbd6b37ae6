"""An account with the processor, as the rules use it: the sandbox's, or one in Stripe's test mode.

Against the sandbox every answer is checked against the pinned OpenAPI document as it comes.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import stripe
from stripe_schema import problems

PREVIEW = "2026-10-28.preview"


class Recording(stripe.HTTPXClient):
    """Keeps what came back, and what was wrong with it."""

    def __init__(self, *, checked: bool) -> None:
        super().__init__(allow_sync_methods=True)
        self.checked = checked
        self.answers: list[tuple[str, str, int, Any]] = []
        self.headers: dict[str, str] = {}

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        body, status, answered = super().request(method, url, headers, post_data=post_data)
        answer = json.loads(body)
        path = urlsplit(url).path
        self.answers.append((method.upper(), path, status, answer))
        self.headers = {name.lower(): value for name, value in answered.items()}
        if self.checked:
            wrong = problems(method.upper(), path, status, answer)
            assert not wrong, f"{method.upper()} {path} answered {status}: " + "\n".join(wrong)
        return body, status, answered


class Account:
    """An account with the processor: its client, and what differs between the two."""

    def __init__(self, key: str, url: str | None) -> None:
        self.key = key
        self.url = url
        self.http = httpx.Client(base_url=url or "https://api.stripe.com", trust_env=False)
        self.recording = Recording(checked=url is not None)
        options: dict[str, Any] = {}
        if url:
            options["base_addresses"] = {"api": url, "files": url}
        self.stripe = stripe.StripeClient(
            key, max_network_retries=0, http_client=self.recording, **options
        )
        self.v1 = self.stripe.v1

    @property
    def is_sandbox(self) -> bool:
        return self.url is not None

    def only_here(self, what: str) -> None:
        """Skip what can't be brought about at Stripe itself."""
        if not self.is_sandbox:
            pytest.skip(f"Stripe's test mode has no way to {what}")

    def sim(self, path: str, **body: Any) -> dict[str, Any]:
        """One of the sandbox's own endpoints."""
        answer = self.http.post(f"/_sim/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @property
    def now(self) -> datetime:
        """The account's time: the sandbox's clock, or the machine's."""
        if not self.is_sandbox:
            return datetime.now(UTC)
        return datetime.fromisoformat(self.http.get("/_sim/clock").json()["now"])

    def pass_time(self, **by: int) -> None:
        """Move the clock on; at Stripe time takes its time."""
        self.only_here("move the clock")
        self.sim("clock", now=(self.now + timedelta(**by)).isoformat())

    def eventually(self, true: Callable[[], object], within_s: int = 60) -> object:
        """What ``true`` says once it says something: at once here, at Stripe after a while."""
        for _ in range(0 if self.is_sandbox else within_s):
            if found := true():
                return found
            time.sleep(1)
        return true()

    def events(self, event_type: str, object_id: str) -> list[str]:
        """The type of each event of that type about that object."""
        listed = self.v1.events.list({"type": event_type, "limit": 100})
        return [event.type for event in listed.data if event.data.object["id"] == object_id]

    def paid(self, amount: int = 5000, card: str = "pm_card_visa", **more: Any) -> Any:
        """A payment, with its charge in it; with ``capture_method`` manual a hold."""
        return self.hold(amount, card, **{"capture_method": "automatic", **more})

    def hold(self, amount: int = 5000, card: str = "pm_card_visa", **more: Any) -> Any:
        """A hold, with its charge in it."""
        options = more.pop("options", None)
        given: dict[str, Any] = {
            "amount": amount,
            "currency": "usd",
            "capture_method": "manual",
            "confirm": True,
            "payment_method": card,
            "allowed_payment_method_types": ["card"],
            "expand": ["latest_charge"],
            **more,
        }
        return self.v1.payment_intents.create(given, options)

    def card(self, intent: Any) -> Any:
        """``payment_method_details.card`` of the intent's charge."""
        charge = intent.latest_charge
        if isinstance(charge, str):
            charge = self.v1.charges.retrieve(charge)
        return charge.payment_method_details.card

    def customer(self, card: str | None = None) -> tuple[str, str]:
        """A customer, and their saved card if one is named."""
        customer = self.v1.customers.create({"email": "driver@example.org"})
        if card is None:
            return customer.id, ""
        method = self.v1.payment_methods.attach(card, {"customer": customer.id})
        return customer.id, method.id

    def needs_ic_plus(self, available: bool, what: str) -> None:
        """Skip at Stripe where the account's pricing has no ``what``."""
        if not available and not self.is_sandbox:
            pytest.skip(f"{what} is unavailable to this account: it takes IC+ pricing")
        assert available, f"{what} is unavailable"

    def key_of(self, name: str) -> str:
        """An idempotency key that no earlier run has used."""
        return f"{name}:{uuid.uuid4()}"


class Upload(io.BytesIO):
    """A file as the SDK sends it."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name


def pdf(name: str, text: str = "12.500 kWh") -> Upload:
    """The smallest PDF that has a page."""
    return Upload(name, (
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]"
        "/Count 1>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\n"
        f"% {text}\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    ).encode())  # fmt: skip


def window(intent: Any, card: Any) -> timedelta:
    """From the hold to the moment it must be captured by."""
    return timedelta(seconds=card.capture_before - intent.latest_charge.created)
