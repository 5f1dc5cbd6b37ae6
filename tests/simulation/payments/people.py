"""The operator's people: what waits for somebody is decided, one way or another, sooner or later.

Each decision goes through the desk of the API and the page, under a key: who decides and hears
nothing, because the house died, decides again. Somebody gives money back in the processor's
dashboard, past us; some of that is taken over.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

from simulation.payments.house import House
from simulation.payments.others import Others
from simulation.payments.processors import Account, Processors
from simulation.payments.street import Street
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.pipeline.billing.resolve import Act, Edge, resolve
from wattledger.pipeline.deciding import money_desk
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.returning import refunds
from wattledger.pipeline.world import World

EXPECTED = (BadInput, Conflict, NotFound)
"""What people are told who decide about what can't be, or is over."""
Wait = tuple[tuple[str, ...], str]
# What waits for somebody: what can be done about it, and who waits.
_WAITING: tuple[Wait, ...] = (
    (("payment.release", "payment.refuse"), "SELECT id FROM payment WHERE state = 'parked'"),
    (("refund.approve", "refund.refuse"), "SELECT id FROM refund WHERE state = 'asked'"),
    (("unpaid.debt", "unpaid.waive"),
     "SELECT id FROM session WHERE state = 'held' AND held_reason = 'payment.missing'"),
    (("suspense.match", "suspense.match", "suspense.return", "suspense.keep"),
     "SELECT id FROM terminal_payment WHERE state = 'suspense'"),
)  # fmt: skip
# What nobody has to decide: it comes to an end by itself, or stays as it is.
_OPTIONAL: tuple[Wait, ...] = (
    (("debt.try", "debt.write_off"),
     "SELECT charge_id || '/' || part AS id FROM debt WHERE state = 'open'"),
    (("back.again", "back.otherwise"),
     "SELECT id FROM payment_refund WHERE state IN ('failed', 'refused')"),
    (("dispute.submit",), "SELECT id FROM dispute WHERE closed_at IS NULL AND NOT inquiry"),
    (("refund.take_over",),
     "SELECT id FROM processor_item WHERE category = 'refund' AND payment_refund_id IS NULL"),
    (("unblock",),
     "SELECT COALESCE(account_id, driver, token) AS id FROM token_block WHERE blocked"),
    (("receipt.mail",), "SELECT id FROM session WHERE state IN ('billed', 'adjusted')"),
)  # fmt: skip
_DISAGREES = """
    SELECT a.id, s.transaction_id FROM anomaly a JOIN session s ON s.id = a.subject
     WHERE a.code = 'meter.disagrees' AND a.resolved_at IS NULL
"""
_HELD = """
    SELECT a.id FROM anomaly a JOIN session s ON s.id = a.subject AND s.held_reason = a.code
     WHERE s.state = 'held' AND a.code <> 'payment.missing' AND a.resolved_at IS NULL
"""
_MATCHES = """
    SELECT s.id FROM session s JOIN terminal_payment t ON t.entity_id = s.entity_id
     WHERE t.id = %s AND s.held_reason = 'payment.missing' LIMIT 1
"""


class People:
    """``done``: what they have decided, by what it was. ``past_us``: by account, the refunds that
    were made in its dashboard."""

    def __init__(
        self, house: House, processors: Processors, others: Others, street: Street, rng: Random
    ) -> None:
        self._house, self._processors, self._others = house, processors, others
        self._visits, self._faulty = street.visits, street.faulty
        self._rng = rng
        self._count = 0
        self.done: Counter[str] = Counter()
        self.past_us: dict[str, list[str]] = {name: [] for name in processors.accounts}

    async def look(self) -> None:
        """Now and then somebody sits down at it."""
        if not self._faulty or self._rng.random() < 0.7:
            return
        for acts, query in _WAITING:
            for row in await self._house.rows(query):
                if self._rng.random() < 0.3:
                    await self._decide(self._rng.choice(acts), row["id"])
        if self._rng.random() < 0.3:
            await self._read_the_displays()
        acts, query = self._rng.choice(_OPTIONAL)
        rows = await self._house.rows(query)
        if rows and self._rng.random() < 0.5:
            await self._decide(self._rng.choice(acts), self._rng.choice(rows)["id"])
        if self._rng.random() < 0.05:
            await self._past_us(self._rng.choice(list(self._processors.accounts.values())))

    async def finish(self) -> bool:
        """Whoever still waits is waited for no longer. Whether anybody did."""
        waited = await self._read_the_displays()
        for row in await self._house.rows(_HELD):
            waited = True
            await self._discard(row["id"])
        for acts, query in _WAITING:
            for row in await self._house.rows(query):
                waited = True
                await self._decide(acts[-1], row["id"])
        return waited

    async def _read_the_displays(self) -> bool:
        """A stop and a reading of the same moment disagree: somebody goes there and looks. Whether
        anybody had to."""
        stands_wh = {visit.transaction_id: visit.stands_wh for visit in self._visits}
        rows = await self._house.rows(_DISAGREES)
        for row in rows:
            await self._correct(row["id"], stands_wh[row["transaction_id"]])
        return bool(rows)

    async def _correct(self, anomaly_id: int, stands_wh: int) -> None:
        act = Act("correct", "read off the display", stop=Edge(register_wh=stands_wh))
        await self._house.do(lambda world: resolve(world, anomaly_id, act, "page:Ann"))
        self.done["correct"] += 1

    async def _discard(self, anomaly_id: int) -> None:
        """A session that nobody can bill safely is given away."""
        act = Act("discard", "nobody knows", kind="given_away")
        await self._house.do(lambda world: resolve(world, anomaly_id, act, "page:Ann"))
        self.done["discard"] += 1

    async def _decide(self, act: str, subject: str) -> None:
        self._count += 1
        more: dict[str, Any] = {}
        if act == "suspense.match":
            found = await self._house.rows(_MATCHES, subject)
            more["session_id"] = found[0]["id"] if found else "none"
        asked = Asked(subject, actor="key:bea", reason="seen", key=f"k{self._count}", **more)
        with suppress(*EXPECTED):
            await self._house.do(lambda world: money_desk.do(world, act, asked))
            self.done[act] += 1
            if act == "suspense.return":
                await self._returned(subject)

    async def _returned(self, subject: str) -> None:
        """What is given back of a vendor's payment is given back there."""
        (row,) = await self._house.rows(
            "SELECT reference FROM terminal_payment WHERE id = %s", subject
        )
        if row["reference"] in self._others.taps:
            self._others.taps[row["reference"]].returned = True

    async def give_back(self, session_id: str, scope: dict[str, Any], key: str) -> None:
        """Support gives some of it back, where it can."""
        kind = self._rng.choice(refunds.KINDS)

        async def ask(world: World) -> None:
            await refunds.ask(world, session_id, scope, kind, "sorry", actor="page:Ann", key=key)

        with suppress(*EXPECTED):
            await self._house.do(ask)
            self.done["refund.ask"] += 1

    async def _past_us(self, account: Account) -> None:
        """Somebody gives a little of a payment back at the processor."""
        await account.faultless()
        charges = [charge for charge in await account.all("/v1/charges") if charge["captured"]]
        if charges:
            charge = self._rng.choice(charges)
            made = await account.ask("POST", "/v1/refunds", charge=charge["id"], amount=20)
            self.past_us[account.id] += [made["id"]] if "id" in made else []
