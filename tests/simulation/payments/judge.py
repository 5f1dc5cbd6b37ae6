"""What has to be true, whatever happened. What the processor did is read from its own records."""

from __future__ import annotations

from collections import defaultdict

from simulation.payments.house import House
from simulation.payments.others import Others, Tap
from simulation.payments.people import People
from simulation.payments.plan import ENTITIES
from simulation.payments.processors import Account, Processors
from wattledger.api.report import report
from wattledger.receipts.mail import message_id

_CLEARING = """
    SELECT entity_id, currency, sum(debit_minor - credit_minor)::bigint AS minor
      FROM journal_line WHERE account = 'clearing.stripe' GROUP BY 1, 2
"""
_CHARGED = """
    SELECT s.id, s.account_id, COALESCE(sum(g.total_minor), 0)::bigint AS charged
      FROM session s LEFT JOIN charge g ON g.session_id = s.id GROUP BY s.id
"""
_BACK = """
    SELECT g.session_id AS id, -sum(k.amount_minor)::bigint AS due FROM collection k
      JOIN charge g ON g.id = k.charge_id WHERE k.state = 'refund_due' GROUP BY 1
"""
_FILLED = """
    SELECT p.id, COALESCE(sum(m.amount_minor), 0)::bigint AS minor FROM payment p
      LEFT JOIN wallet_move m ON m.cause_id = p.id AND m.kind = 'topup'
     WHERE p.leg = 'topup' GROUP BY p.id
"""
_LAST = {"captured", "invoiced", "wallet", "roaming", "external", "waived", "debt", "refund_due"}
_OPEN = """
    SELECT id, state, leg, route, session_id FROM payment
     WHERE state IN ('waiting', 'holding', 'held', 'charging', 'capturing', 'releasing', 'parked')
"""
_UNBILLED = """
    SELECT id, state, held_reason FROM session WHERE state IN ('open', 'ended', 'held')
"""
_MAILS = """
    SELECT key, CASE WHEN state = 'done' THEN response->>'delivery' ELSE state END AS delivery
      FROM effect WHERE kind = 'mail.send'
"""
_DOCUMENTS = """
    SELECT 'receipt:' || g.id || ':1' AS key FROM charge g JOIN session s ON s.id = g.session_id
     WHERE s.contract->>'email' IS NOT NULL
"""
_SENDER = "Bills <bills@example.com>"
_ARRIVED = {"taken": {1}, "unknown": {0, 1}, "rejected": {0}}
"""How often a mail may have arrived, by what became of its sending."""
# What a repeated event may not move.
_MONEY = (
    "payment", "collection", "charge", "entry", "posting", "account", "processor_item", "payout",
    "refund", "payment_refund", "debt", "wallet_move", "token_block", "start_request", "session",
    "terminal_payment",
)  # fmt: skip


class Judge:
    """Looks at the house and at the processor's accounts."""

    def __init__(
        self, house: House, processors: Processors, others: Others, people: People
    ) -> None:
        self._house = house
        self._processors = processors
        self._others = others
        self._people = people

    async def step(self) -> None:
        """At every moment: what the ledger says of an account is what was read of it, to the cent;
        the rest is what is not read yet."""
        await self._processors.calm()
        for account in self._processors.accounts.values():
            clearing, read, all_of_it = await self._account(account)
            assert clearing == read, (account.id, clearing, read)
            assert all_of_it == await _balance(account)
        await self._captured_at_most()

    async def drained(self) -> None:
        """Everything is read: the balance there is the clearing account here."""
        for account in self._processors.accounts.values():
            clearing, read, all_of_it = await self._account(account)
            assert clearing == read == all_of_it, (account.id, clearing, read, all_of_it)

    async def _account(self, account: Account) -> tuple[dict[str, int], ...]:
        """By currency: the clearing account, what the processor says of the items that were read,
        and of all items."""
        entity = ENTITIES[account.id]
        rows = await self._house.rows(_CLEARING)
        clearing = {
            row["currency"]: row["minor"]
            for row in rows
            if row["entity_id"] == entity and row["minor"]
        }
        known = {row["id"] for row in await self._house.rows("SELECT id FROM processor_item")}
        read: defaultdict[str, int] = defaultdict(int)
        everything: defaultdict[str, int] = defaultdict(int)
        for item in await account.all("/v1/balance_transactions"):
            everything[item["currency"].upper()] += item["net"]
            if item["id"] in known:
                read[item["currency"].upper()] += item["net"]
        return clearing, _nonzero(read), _nonzero(everything)

    async def _captured_at_most(self) -> None:
        """No charge is captured for more than its issuer approved, or the processor allows."""
        for account in self._processors.accounts.values():
            for charge in await account.all("/v1/charges"):
                details = charge["payment_method_details"]
                card = details.get("card") or details.get("card_present") or {}
                most = card.get("amount_authorized") or charge["amount"]
                over = card.get("overcapture") or {}
                if over.get("status") == "available":
                    most = max(most, over["maximum_amount_capturable"])
                assert charge["amount_captured"] <= most, charge

    async def nobody_paid_too_much(self) -> None:
        """By session: what all cards and vendors took for it, less what they gave back, is at most
        what its documents come to, and what is due back of it. What a vendor took beyond that is
        the vendor's to explain: a break says it."""
        charged = {row["id"]: row["charged"] for row in await self._house.rows(_CHARGED)}
        due = {row["id"]: row["due"] for row in await self._house.rows(_BACK)}
        session_of = {
            row["id"]: row["session_id"]
            for row in await self._house.rows("SELECT id, session_id FROM payment")
        }
        filled = {row["id"]: row["minor"] for row in await self._house.rows(_FILLED)}
        paid: defaultdict[str | None, int] = defaultdict(int)
        succeeded: defaultdict[str, int] = defaultdict(int)
        for account in self._processors.accounts.values():
            for intent in await account.all("/v1/payment_intents"):
                if intent["amount_received"]:
                    succeeded[intent["metadata"]["payment_id"]] += 1
            charges = {c["id"]: c for c in await account.all("/v1/charges") if c["captured"]}
            for charge in charges.values():
                payment_id = charge["metadata"]["payment_id"]
                assert payment_id in session_of, "a charge that nobody here knows of"
                if payment_id in filled:
                    assert charge["amount_captured"] == filled[payment_id], "not in the wallet"
                    continue
                paid[session_of[payment_id]] += charge["amount_captured"]
            for refund in await account.all("/v1/refunds"):
                if refund["status"] in ("succeeded", "pending"):
                    payment_id = charges[refund["charge"]]["metadata"]["payment_id"]
                    if payment_id in filled:
                        assert refund["id"] in self._people.past_us[account.id], "nobody asked"
                        continue
                    paid[session_of[payment_id]] -= refund["amount"]
        assert set(succeeded.values()) <= {1}, "a payment was taken twice"
        for tapped, tap in (await self._taps()).items():
            paid[tapped] += min(tap.taken_minor or 0, charged[tapped])
        for session_id, minor in paid.items():
            assert session_id is not None, "taken for nothing"
            most = charged[session_id] + due.get(session_id, 0)
            assert minor <= most, (session_id, minor, charged[session_id], due.get(session_id))

    async def _taps(self) -> dict[str, Tap]:
        """By session: the payment at a vendor's terminal that it was matched with. The vendor was
        told one amount at most, and takes no more than that."""
        rows = await self._house.rows(
            "SELECT session_id, reference FROM terminal_payment WHERE payment_id IS NULL"
            " AND session_id IS NOT NULL"
        )
        for tap in self._others.taps.values():
            assert len(tap.asked_minor) <= 1, "two prices of one session"
            if tap.asked_minor:
                assert tap.taken_minor in (None, *tap.asked_minor)
        return {row["session_id"]: self._others.taps[row["reference"]] for row in rows}

    async def mails(self) -> None:
        """Each document with an address was mailed once; or perhaps, where no answer came; or not,
        where the server refused it. None came twice."""
        sent = await self._house.rows(_MAILS)
        documents = await self._house.rows(_DOCUMENTS)
        assert {row["key"] for row in documents} <= {row["key"] for row in sent}
        for row in sent:
            arrived = self._others.by_message.pop(message_id(row["key"], _SENDER), 0)
            assert arrived in _ARRIVED[row["delivery"]], row
        assert not self._others.by_message, "a mail that nobody here knows of"

    async def over(self) -> None:
        """Nothing is under way any more: every charge has come to its end, every session to its
        bill or to nothing, and no card is held."""
        rows = await self._house.rows("SELECT DISTINCT state FROM collection")
        assert {row["state"] for row in rows} <= _LAST
        assert await self._house.rows(_OPEN) == []
        assert await self._house.rows(_UNBILLED) == []
        for account in self._processors.accounts.values():
            held = [
                intent["id"]
                for intent in await account.all("/v1/payment_intents")
                if intent["status"] == "requires_capture"
            ]
            assert held == [], "a hold that nobody gives back"
        async with self._house.pool.connection() as conn:
            found = await report(conn)
        money = found["money"]
        parts = sum(
            money[name]
            for name in ("captured", "invoiced", "external", "wallet", "roaming", "waived", "debt",
                         "pending")
        )  # fmt: skip
        assert money["charged"] == parts - money["refund_due"], money
        flow = money["captured"] + money.get("topups", 0) - money["refunds"]
        flow -= money["disputes_net"] + money["fees"]
        assert flow == money["paid_out"] + money["in_transit"], money
        energy = found["energy_wh"]
        assert energy["delivered"] == (
            energy["billed"] + energy["free"] + energy["held"] + energy["explained"]
        )
        assert found["ledger"]["proved"]

    async def fingerprint(self) -> dict[str, list[str]]:
        """The money, as it stands in the database."""
        found: dict[str, list[str]] = {}
        for table in _MONEY:
            rows = await self._house.rows(f"SELECT t::text AS t FROM {table} t ORDER BY 1")
            found[table] = [row["t"] for row in rows]
        return found


async def _balance(account: Account) -> dict[str, int]:
    balance = await account.ask("GET", "/v1/balance")
    found: defaultdict[str, int] = defaultdict(int)
    for side in ("available", "pending"):
        for row in balance[side]:
            found[row["currency"].upper()] += row["amount"]
    return _nonzero(found)


def _nonzero(found: dict[str, int]) -> dict[str, int]:
    return {currency: minor for currency, minor in found.items() if minor}
