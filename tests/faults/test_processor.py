"""The other sides fail in every way they can: one hold, one capture, one message come of it.

Each case is a whole day with faults in it, at each of its calls in turn; at the end the figures are
those of a day without, at the processor and in the books too.
"""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from rig import paying
from rig.day import assert_adds_up, play
from rig.network import CARD, DECLINED, FLEET, TARGET, Body, at
from rig.outside import outside
from rig.sandbox import sandbox
from rig.server import STARTS_AT
from rig.system import System, system, until
from wattledger.payments.stripe import reading

# What each call meets on a day: a failure without an effect, and at its next try one of those that
# leave it open whether there was one.
PAIRS = (("500_before", "drop_after"), ("drop_before", "hang"), ("hang_before", "500_after"),
         ("429", "500_stored"))  # fmt: skip
# By what the day of payments is about to do.
CALLS = {
    "charge": "POST /v1/payment_intents",
    "hold": "POST /v1/payment_intents",
    "intent": "POST /v1/payment_intents",
    "fetch": "GET /v1/payment_intents/*",
    "reader": "POST /v1/terminal/readers/*/process_payment_intent",
    "increment": "POST /v1/payment_intents/*/increment_authorization",
    "capture": "POST /v1/payment_intents/*/capture",
    "release": "POST /v1/payment_intents/*/cancel",
    "reader_cancel": "POST /v1/terminal/readers/*/cancel_action",
    "refund": "POST /v1/refunds",
    "sweep": "GET /v1/payment_intents",
    "read": "GET /v1/balance_transactions",
    "file": "POST /v1/files",
    "evidence": "POST /v1/disputes/*",
}
# What the log shows of the calls about the one payment, from the try without an effect on: their
# keys' attempts, and whether the processor answered from its memory. A 500 that is stored can't be
# told from one that had its effect: where the look-up under the same key is answered with one, the
# object itself is looked for.
CONVERSATIONS = {
    "drop_after": [(1, False), (1, False), (1, True)],
    "hang": [(1, False), (1, False), (1, True)],
    "500_after": [(1, False), (1, False)],
    "500_stored": [(1, False), (1, False), (1, True), (2, False)],
}
# How many of the day's calls meet it, by their path.
MET = {"charge": 3, "capture": 1, "release": 1, "increment": 1, "refund": 1}


@pytest.mark.parametrize(("without", "kind"), PAIRS)
async def test_a_day_of_payments_in_which_each_call_fails(
    dsn: str, without: str, kind: str
) -> None:
    async with outside() as found, system(dsn, prepare=partial(paying.prepare, found)) as running:
        met: list[str] = []
        found.vendor_fails += [without, kind]

        async def fails(*calls: str) -> None:
            assert await running.sandbox.pending_faults() == [], f"not met before {calls}"
            met.extend(calls)
            for call in calls:
                await running.sandbox.fault(match=CALLS[call], kind=without)
                await running.sandbox.fault(match=CALLS[call], kind=kind)

        await paying.play(running, fails)
        assert met == list(CALLS)
        assert await running.sandbox.pending_faults() == [], "the day met them all"
        assert found.vendor_fails == []
        await paying.assert_paid(running, found)
        for call, times in MET.items():
            said = await conversations(running, CALLS[call])
            assert said.count(CONVERSATIONS[kind]) == times, (call, said)


async def test_a_processor_that_fails_again_and_again(dsn: str) -> None:
    async with system(dsn) as running:
        for kind in ("500_stored", "drop_after", "500_stored", "429", "hang_before", "500_after"):
            await running.sandbox.fault(match=CALLS["capture"], kind=kind)
        await play(running)
        assert await running.sandbox.pending_faults() == []
        await assert_adds_up(running)


async def test_an_answer_that_never_comes_keeps_nobody_waiting(dsn: str) -> None:
    """The hold of one driver hangs; another one starts and stops meanwhile."""
    async with system(dsn) as running:
        one, two = running.point("CP-1"), running.point("CP-2")
        await one.connected()
        await two.connected()
        await running.sandbox.fault(match=CALLS["hold"], kind="hang", times=2)
        await one.start(CARD, at("08:00"), 0)
        moving = asyncio.create_task(running.clock(at("08:01")))
        await until(lambda: running.sandbox.requests("/v1/payment_intents"))
        fleet = await two.start(FLEET, at("08:00"), 0)
        await two.stop(fleet, at("08:30"), 5_000)
        assert not moving.done(), "the hold still waits for its answer"
        await moving
        held = await running.rows("SELECT state FROM payment")
        assert [row["state"] for row in held] == ["held"]
        assert len(await running.sandbox.intents()) == 1


async def test_a_decline_that_got_lost_is_still_a_decline(dsn: str) -> None:
    async with system(dsn) as running:
        await running.sandbox.fault(match=CALLS["hold"], kind="500_after")
        one = running.point("CP-1")
        transaction = await one.start(DECLINED, at("08:00"), 0)
        await running.clock(at("08:01"))
        assert one.remote_stops == [transaction]
        payments = await running.rows("SELECT state FROM payment")
        assert [row["state"] for row in payments] == ["declined"]


async def test_a_day_in_which_the_books_fail(dsn: str) -> None:
    """Every other delivery, each time in another way."""
    kinds = ("500_before", "500_after", "drop_before", "drop_after", "hang", "hang_before",
             "slow_ms:400", "429")  # fmt: skip
    async with system(dsn) as running:
        for number, kind in enumerate(kinds):
            await running.sandbox.fault(match="POST /receiver/*", kind=kind, skip=number)
        await play(running)
        assert await running.sandbox.pending_faults() == []
        await assert_adds_up(running)
        # They had it, and did not say so.
        twice = [kind for kind in kinds if kind.endswith("_after") or kind == "hang"]
        assert (await running.sandbox.books())["duplicates"] == len(twice)


async def test_books_that_are_down_hear_everything_later(dsn: str) -> None:
    async with sandbox(STARTS_AT) as elsewhere:
        port = elsewhere.port

    def books_at_that_port(body: Body) -> None:
        body["target"][0]["url"] = f"http://127.0.0.1:{port}/receiver/{TARGET}"

    async with system(dsn, change=books_at_that_port) as running:
        one = running.point("CP-1")
        fleet = await one.start(FLEET, at("08:00"), 0)
        await running.clock(at("09:00"))
        await one.stop(fleet, at("09:00"), 10_000, "EVDisconnected")
        await one.status("Available", at("09:00"))
        moving = asyncio.create_task(running.clock(at("09:02")))
        await until(lambda: _tries(running))
        found = await running.report()
        assert found["money"]["charged"] == found["money"]["invoiced"] == 330
        assert found["webhooks"] == {"sent": 1, "acknowledged": 0}
        async with sandbox(STARTS_AT, port) as books:
            await moving
            assert (await books.books())["by_type"] == {"session.billed": 1}
        assert (await running.report())["webhooks"] == {"sent": 1, "acknowledged": 1}


async def test_a_day_that_is_read_in_small_batches(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls to a batch, one item to a page: the chain ends, and nothing is missed."""
    monkeypatch.setattr(reading, "CALLS_MAX", 2)
    monkeypatch.setattr(reading, "_PAGE", 1)
    async with system(dsn) as running:
        await play(running)
        assert (await running.report())["sessions"]["refused"] == 1
        await assert_adds_up(running)
        (longest,) = await running.rows(
            "SELECT max((request->>'batch')::integer) AS batch FROM effect"
            " WHERE kind = 'stripe.read' AND state = 'done'"
        )
        assert longest["batch"] >= 3
        left = await running.rows(
            "SELECT due_at FROM effect WHERE kind = 'stripe.read' AND state <> 'done'"
        )
        assert [row["due_at"] > at("12:00", 6) for row in left] == [True], "the next night"


@pytest.mark.parametrize("hinted", [True, False])
async def test_a_payout_that_fails_after_it_was_paid_is_money_at_the_processor_again(
    dsn: str, hinted: bool
) -> None:
    """6.82 less fees of 0.50 are at the bank; it sends them back. Read by a hint, or at night."""
    async with system(dsn) as running:
        await play(running)
        await assert_adds_up(running)
        (payout,) = await running.rows("SELECT id FROM payout")
        if not hinted:
            await running.sandbox.events_to(None)
        await running.sandbox.fail_payout(payout["id"])
        await running.clock(at("13:00", 6) if hinted else at("12:00", 7))
        assert await balances(running) == {
            "bank": 0, "payouts.in_transit": 0, "clearing.stripe": 632, "expense.processing": 50,
        }  # fmt: skip
        found = await running.report()
        assert found["ledger"]["proved"] is True
        assert found["breaks"] == []
        (state,) = await running.rows("SELECT status, items_read FROM payout")
        assert state == {"status": "failed", "items_read": True}


@pytest.mark.parametrize("how", ["duplicate", "reorder", "drop"])
async def test_a_day_of_payments_in_which_stripes_events_go_astray(dsn: str, how: str) -> None:
    async with outside() as found, system(dsn, prepare=partial(paying.prepare, found)) as running:
        await running.sandbox.fault(webhooks=how, times=1_000)
        await paying.play(running)
        await paying.assert_paid(running, found)


async def _tries(running: System) -> bool:
    return bool(
        await running.rows("SELECT FROM effect WHERE kind = 'webhook.deliver' AND tries > 1")
    )


async def balances(running: System) -> dict[str, int]:
    """What stands on the accounts that the processor's money goes through."""
    rows = await running.rows(
        "SELECT account, sum(debit_minor - credit_minor)::bigint AS balance FROM journal_line"
        " WHERE account ~ '^(bank|payouts|clearing|expense)' GROUP BY account"
    )
    return {row["account"]: row["balance"] for row in rows}


async def conversations(running: System, call: str) -> list[list[tuple[int, bool]]]:
    """By payment: the attempt in the key of each call, and whether the answer was replayed. A call
    without a key is somebody else's: we make none."""
    found: dict[str, list[tuple[int, bool]]] = {}
    others = 0
    for entry in await running.sandbox.requests(call.removeprefix("POST ")):
        if entry["idempotency_key"] is None:
            others += 1
            continue
        stem, _, attempt = entry["idempotency_key"].rpartition(":")
        found.setdefault(stem, []).append((int(attempt), entry["replayed"]))
    assert others <= int(call == CALLS["refund"]), "but for the refund in the dashboard"
    return list(found.values())
