"""What drivers and the operator's people do about money: cards at terminals, a refund, a dispute.

Cards are saved and readers registered at the processor itself, as an operator's app and its
dashboard would do it; we only ever see their names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from wattledger.demo.drivers import Account
from wattledger.errors import ExternalFault

_PRESENT = "/v1/test_helpers/terminal/readers/{reader}/present_payment_method"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the processor knows before the first session: by account its customer and saved card,
    by site its reader."""

    cards: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    readers: Mapping[str, str] = field(default_factory=dict)


class Processor:
    """The processor's API, as others than Wattledger use it."""

    def __init__(self, url: str, key: str, http: httpx.Client) -> None:
        self._http, self._url, self._key = http, url, key

    def prepare(self, accounts: Iterable[Account], sites: Iterable[str]) -> Prepared:
        """Save the cards of ``accounts`` that are to be saved; a reader for each site."""
        cards: dict[str, tuple[str, str]] = {}
        for account in accounts:
            if account.saved and account.payment_method:
                customer = self._post("/v1/customers", name=account.name)["id"]
                path = f"/v1/payment_methods/{account.payment_method}/attach"
                cards[account.id] = customer, self._post(path, customer=customer)["id"]
        readers = {}
        for site in sites:
            address = {"line1": "1 Main Street", "city": site, "country": "US",
                       "state": "CA", "postal_code": "91101"}  # fmt: skip
            place = self._post(
                "/v1/terminal/locations",
                **{"display_name": site},
                **{f"address[{name}]": value for name, value in address.items()},
            )
            readers[site] = self._post(
                "/v1/terminal/readers",
                registration_code="simulated-wpe", label=f"{site}-reader", location=place["id"],
            )["id"]  # fmt: skip
        return Prepared(cards, readers)

    def _post(self, path: str, **fields: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}"}
        answer = self._http.post(self._url + path, data=fields, headers=headers)
        if not answer.is_success:
            raise ExternalFault(f"POST {path}: answered {answer.status_code}: {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found


async def present_card(http: httpx.AsyncClient, url: str, key: str, reader: str) -> None:
    """A driver holds a card against the reader."""
    path = _PRESENT.format(reader=reader)
    answer = await http.post(url + path, headers={"Authorization": f"Bearer {key}"})
    if not answer.is_success:
        raise ExternalFault(f"POST {path}: answered {answer.status_code}: {answer.text[:500]}")


async def decide_for_us(http: httpx.AsyncClient, url: str, dispute_id: str) -> None:
    """The bank has read the evidence, and is convinced."""
    path = f"{url}/_sim/dispute/{dispute_id}/close"
    answer = await http.post(path, json={"outcome": "won"})
    if not answer.is_success:
        raise ExternalFault(f"POST {path}: answered {answer.status_code}: {answer.text[:500]}")


class Desk:
    """The support desk, over our API: it gives something back, and answers a bank's question."""

    def __init__(self, http: httpx.AsyncClient, key: str) -> None:
        self._http, self._key = http, key

    async def start_at_terminal(self, charge_point_id: str, reader: str, reference: str) -> None:
        """A driver has chosen a post at the reader."""
        body = {"route": "terminal", "charge_point_id": charge_point_id, "connector_id": 1,
                "reader": reader, "reference": reference}  # fmt: skip
        await self._post("/v1/starts", body, reference)

    async def refund(self, session_id: str, amount_minor: int, reason: str) -> None:
        """Out of goodwill."""
        body = {"session_id": session_id, "amount_minor": amount_minor, "kind": "goodwill",
                "reason": reason}  # fmt: skip
        await self._post("/v1/refunds", body, f"refund-{session_id}")

    async def answer_disputes(self) -> list[str]:
        """The evidence of every one is sent; which they were."""
        found = [dispute["id"] for dispute in (await self._get("/v1/disputes"))["items"]]
        for dispute_id in found:
            path = f"/v1/disputes/{dispute_id}/submit"
            await self._post(path, {"reason": "delivered, and metered"}, path)
        return found

    async def first_paid_session(self, route: str) -> str | None:
        """The first session of which a card has paid enough to give something back."""
        items = (await self._get("/v1/payments", state="captured", limit="1000"))["items"]
        paid = [p for p in items if p["route"] == route and p["captured_minor"] >= 500]
        first = min(paid, key=lambda p: (p["created_at"], p["id"]), default=None)
        return first["session_id"] if first else None

    async def _get(self, path: str, **query: str) -> Any:
        answer = await self._http.get(path, params=query, headers=self._headers())
        return self._read("GET", path, answer)

    async def _post(self, path: str, body: object, key: str) -> Any:
        headers = self._headers() | {"Idempotency-Key": key, "Content-Type": "application/json"}
        answer = await self._http.post(path, content=json.dumps(body), headers=headers)
        return self._read("POST", path, answer)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}

    @staticmethod
    def _read(method: str, path: str, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise ExternalFault(
                f"{method} {path}: answered {answer.status_code}: {answer.text[:500]}"
            )
        return answer.json()
