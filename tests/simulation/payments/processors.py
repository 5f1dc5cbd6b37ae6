"""The processor's accounts, one for each legal entity, and the mail of its events.

What was really taken from whom stands here, in the stand-in's own records: the judge reads nothing
else for it. Events are lost, come twice, late and in any order; faults meet calls at random.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from random import Random
from typing import Any

import httpx

from rig.network import SECRETS
from rig.sandbox import Sandbox, sandbox
from wattledger.clock import utc_text

# Every call that the house makes; what it asks most and what moves money more often than the rest.
CALLS = (
    *("POST /v1/payment_intents", "POST /v1/payment_intents/*/capture",
      "POST /v1/payment_intents/*/cancel", "POST /v1/refunds", "GET /v1/payment_intents/*",
      "GET /v1/balance_transactions") * 2,
    "POST /v1/payment_intents/*/increment_authorization", "POST /v1/terminal/readers/*",
    "GET /v1/terminal/readers/*", "POST /v1/disputes/*", "POST /v1/customers",
    "GET /v1/payment_intents", "GET /v1/refunds*", "GET /v1/disputes*", "GET /v1/radar/*",
    "GET /v1/payouts*",
)  # fmt: skip
KINDS = ("drop_before", "drop_after", "500_before", "500_after", "500_stored", "429",
         "hang", "hang_before")  # fmt: skip
HANGS = ("hang", "hang_before")
# Each takes as long as the house waits: there are enough of them for all that can be asked.
HANGS_MAX = 24
LOST, TWICE, LATE = 0.15, 0.15, 0.15
_PATIENCE, _LOOK_S = 50, 5
_OF_READERS: list[tuple[str, dict[str, Any]]] = [
    ("offline", {}), ("online", {}), ("online", {}), ("busy", {"busy": True}),
    ("busy", {"busy": False}), ("timeout", {"received": True}), ("timeout", {"received": False}),
]  # fmt: skip

Deliver = Callable[[str, bytes, str], Awaitable[bool]]


class Account:
    """One account of the processor. ``id`` is its name in the configuration."""

    def __init__(self, account_id: str, running: Sandbox, http: httpx.AsyncClient) -> None:
        self.id = account_id
        self.sandbox = running
        self.url = running.url
        self._http = http
        self._newest: str | None = None
        self._faulty = False

    async def ask(self, method: str, path: str, **params: Any) -> dict[str, Any]:
        """A call as the operator's own, or a driver's browser's. What it says, errors too; a fault
        that was meant for the house is met and passed by."""
        headers = {"Authorization": f"Bearer {SECRETS['RIG_STRIPE_KEY']}"}
        if method == "POST":
            answer = await self._http.post(self.url + path, data=params, headers=headers)
            return dict(answer.json())
        for _ in range(_PATIENCE):
            with suppress(httpx.TransportError):
                answer = await self._http.get(
                    self.url + path, params=params, headers=headers, timeout=_LOOK_S
                )
                if answer.status_code == 200:
                    return dict(answer.json())
        raise AssertionError(f"no answer to {path}")

    async def tell(self, path: str, **body: Any) -> dict[str, Any]:
        """The stand-in's own side of things, under ``/_sim``."""
        answer = await self._http.post(f"{self.url}/_sim/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def all(self, path: str) -> list[dict[str, Any]]:
        """Every object of a list, oldest first."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": 100}
        while True:
            page = await self.ask("GET", path, **params)
            found += page["data"]
            if not page["has_more"]:
                return found[::-1]
            params["starting_after"] = page["data"][-1]["id"]

    async def new_events(self) -> list[dict[str, Any]]:
        """Those that nobody has asked for yet, oldest first."""
        fresh = await self.all("/v1/events") if self._newest is None else await self._since()
        if fresh:
            self._newest = fresh[-1]["id"]
        return fresh

    async def _since(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        params = {"limit": 100, "ending_before": self._newest}
        while True:
            page = await self.ask("GET", "/v1/events", **params)
            found += page["data"][::-1]
            if not page["has_more"]:
                return found
            params["ending_before"] = found[-1]["id"]

    async def fail(self, match: str, kind: str) -> None:
        """The next such call fails."""
        self._faulty = True
        await self.tell("faults", match=match, kind=kind)

    async def faultless(self) -> None:
        """What nobody met passes."""
        if self._faulty:
            await self._http.delete(f"{self.url}/_sim/faults")
        self._faulty = False


class Processors:
    """All accounts, their clocks, faults and mail."""

    def __init__(self, rng: Random, *, faulty: bool) -> None:
        self.accounts: dict[str, Account] = {}
        self.deliver: Deliver | None = None
        self.mail: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._rng = rng
        self._faulty = faulty
        self._late: list[tuple[Account, dict[str, Any]]] = []

    async def follow(self, now: datetime) -> int:
        """The clocks go with ours; then the mail comes, as it comes. How much was delivered."""
        count = 0
        for account in self.accounts.values():
            await account.tell("clock", now=utc_text(now))
        mail = await self._mail()
        while mail:
            account, event = mail[-1]
            try:
                await self._hand_over(account, event)
            except BaseException:
                self.mail["unheard"] += 1  # whoever died hears it, and the rest, again
                self._late += mail
                raise
            mail.pop()
            count += 1
        return count

    async def _mail(self) -> list[tuple[Account, dict[str, Any]]]:
        mail, self._late = self._late, []
        for account in self.accounts.values():
            for event in await account.new_events():
                drawn = self._rng.random() if self._faulty else 0.5
                if drawn < LOST:
                    self.mail["lost"] += 1
                    continue
                if drawn < LOST + TWICE:
                    self.mail["twice"] += 1
                    mail.append((account, event))
                if drawn > 1 - LATE:
                    self.mail["late"] += 1
                    self._late.append((account, event))
                else:
                    mail.append((account, event))
        if self._faulty:
            self.mail["reordered"] += len(mail) > 1
            self._rng.shuffle(mail)
        return mail

    async def everything_again(self) -> None:
        """Every event there ever was, twice, in an order that never was. It comes with the mail:
        whoever dies of it hears the rest again."""
        self._late += [
            (account, event)
            for account in self.accounts.values()
            for event in await account.all("/v1/events")
        ] * 2
        self._rng.shuffle(self._late)

    async def _hand_over(self, account: Account, event: dict[str, Any]) -> None:
        body = json.dumps(event).encode()
        at_s = int(time.time())
        secret = SECRETS["RIG_STRIPE_WEBHOOK"].encode()
        digest = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
        assert self.deliver is not None
        assert await self.deliver(account.id, body, f"t={at_s},v1={digest}")

    async def trouble(self) -> None:
        """Now and then the next calls fail, each in its way; what nobody met passes."""
        if not self._faulty or self._rng.random() < 0.6:
            return
        await self.calm()
        for account in self.accounts.values():
            while self._rng.random() < 0.6:
                match, kind = self._rng.choice(CALLS), self._rng.choice(KINDS)
                if kind in HANGS and sum(self.faults[each] for each in HANGS) >= HANGS_MAX:
                    continue
                await account.fail(match, kind)
                self.faults[kind] += 1

    async def fate(self) -> None:
        """What banks, issuers and readers do by themselves."""
        if not self._faulty or self._rng.random() < 0.5:
            return
        await self.calm()
        for account in self.accounts.values():
            drawn = self._rng.random()
            if drawn < 0.3:
                await self._a_reader(account)
            elif drawn < 0.4:
                await self._a_dispute(account)
            elif drawn < 0.43:
                await self._a_payout(account)

    async def _a_reader(self, account: Account) -> None:
        readers = await account.all("/v1/terminal/readers")
        reader = self._rng.choice(readers)["id"]
        path, body = self._rng.choice(_OF_READERS)
        await account.tell(f"reader/{reader}/{path}", **body)

    async def _a_dispute(self, account: Account) -> None:
        for dispute in await account.all("/v1/disputes"):
            if dispute["status"] in ("needs_response", "under_review"):
                outcome = self._rng.choice(["won", "lost"])
                await account.tell(f"dispute/{dispute['id']}/close", outcome=outcome)
                return
            if dispute["status"] == "warning_needs_response":
                await account.tell(f"dispute/{dispute['id']}/escalate")
                return

    async def _a_payout(self, account: Account) -> None:
        """The bank sends one back."""
        for payout in await account.all("/v1/payouts"):
            if payout["status"] == "paid":
                await account.tell(f"payouts/{payout['id']}/fail")
                return

    async def calm(self) -> None:
        for account in self.accounts.values():
            await account.faultless()


@asynccontextmanager
async def processors(
    names: list[str], now: datetime, rng: Random, *, faulty: bool
) -> AsyncIterator[Processors]:
    """An account for each of ``names``, at business time ``now``, with nothing in it."""
    found = Processors(rng, faulty=faulty)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        for name in names:
            running = await stack.enter_async_context(sandbox(now, account=name.replace("-", "")))
            found.accounts[name] = Account(name, running, http)
        yield found
