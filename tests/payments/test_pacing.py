"""Turns at an account: never above its limits, nobody refused, and whoever is in a hurry first."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import msgspec
import pytest

from wattledger.errors import BadInput
from wattledger.payments.model import HoldStep, Processor, check_processor
from wattledger.payments.stripe.client import pacing_of
from wattledger.payments.stripe.pacing import Pacing, Rank, endpoint


async def _times(pacing: Pacing, count: int, where: str, rank: int = 0) -> list[float]:
    """When each of ``count`` calls that come at once gets its turn."""

    async def one() -> float:
        await pacing.turn(where, rank)
        return time.monotonic()

    return await asyncio.gather(*(one() for _ in range(count)))


def _most_in(span_s: float, times: list[float]) -> int:
    return max(sum(1 for t in times if begin <= t < begin + span_s) for begin in times)


async def test_no_second_has_more_calls_than_the_rate_and_a_tenth() -> None:
    """100 in a second: in any fifth of a second at most 20, and the tenth that goes out at once."""
    times = await _times(Pacing(100, 1000), 60, "a")
    assert _most_in(0.2, times) <= 20 + 10
    # 60 turns, of which 10 at once: the last comes half a second after the first, not before.
    assert 0.49 <= max(times) - min(times) < 2


async def test_an_endpoint_has_a_rate_of_its_own_and_keeps_nobody_from_another() -> None:
    pacing = Pacing(1000, 20)
    busy = asyncio.create_task(_times(pacing, 6, "busy"))
    await asyncio.sleep(0)
    (free,) = await _times(pacing, 1, "free")
    times = await busy
    assert free < max(times)
    # 20 in a second are one each 50 ms; two go out at once: four intervals.
    assert 0.19 <= max(times) - min(times) < 1


async def test_a_driver_goes_before_a_sweep_that_asked_first() -> None:
    pacing = Pacing(20, 1000)
    order: list[str] = []

    async def one(name: str, rank: Rank) -> None:
        await pacing.turn(name, rank)
        order.append(name)

    sweeps = [asyncio.create_task(one("sweep", Rank.SWEEP)) for _ in range(6)]
    await asyncio.sleep(0)
    await one("driver", Rank.DRIVER)
    # Two sweeps went out at once; the driver is the very next, before four who came earlier.
    assert order == ["sweep", "sweep", "driver"]
    await asyncio.gather(*sweeps)


async def test_a_sweep_does_not_wait_for_ever() -> None:
    """A rank is a handicap of 3 s for each step: one that waited longer goes before a driver."""
    pacing = Pacing(20, 1000)
    await _times(pacing, 2, "first")
    order: list[str] = []

    async def one(name: str, rank: Rank) -> None:
        await pacing.turn(name, rank)
        order.append(name)

    sweep = asyncio.create_task(one("sweep", Rank.SWEEP))
    await asyncio.sleep(0)
    assert order == []
    pacing._waiting[0].due_ns -= 10_000_000_000  # it came ten seconds ago
    driver = asyncio.create_task(one("driver", Rank.DRIVER))
    await asyncio.gather(sweep, driver)
    assert order == ["sweep", "driver"]


async def test_whoever_gives_up_takes_no_turn() -> None:
    pacing = Pacing(2, 1000)
    (first,) = await _times(pacing, 1, "a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pacing.turn("a", 0)
    (second,) = await _times(pacing, 1, "a")
    # The next turn is half a second after the first, not a whole one.
    assert 0.49 <= second - first < 0.9


async def test_after_a_refusal_nobody_goes_there_for_a_while() -> None:
    pacing = Pacing(1000, 1000)
    pacing.refused("a", timedelta(milliseconds=150))
    began = time.monotonic()
    (other,) = await _times(pacing, 1, "b")
    (same,) = await _times(pacing, 1, "a")
    assert other < same
    assert same - began >= 0.14


def test_an_endpoint_is_a_method_and_a_path_without_ids() -> None:
    base = "https://api.stripe.com/v1"
    assert endpoint("post", f"{base}/payment_intents/pi_3N0x/capture") == (
        "POST /v1/payment_intents/{id}/capture"
    )
    assert endpoint("get", f"{base}/payment_intents?limit=100") == "GET /v1/payment_intents"
    assert endpoint("post", f"{base}/terminal/readers/tmr_1/process_payment_intent") == (
        "POST /v1/terminal/readers/{id}/process_payment_intent"
    )
    assert endpoint("get", f"{base}/radar/early_fraud_warnings/issfr_1") == (
        "GET /v1/radar/early_fraud_warnings/{id}"
    )


@pytest.mark.parametrize(
    ("key", "asked", "rates"),
    [
        ("sk_test_1", None, (20, 20)),
        ("rk_live_1", None, (80, 20)),
        ("sk_live_1", 40, (40, 20)),
    ],
)
def test_the_usual_rate_is_the_keys(key: str, asked: int | None, rates: tuple[int, int]) -> None:
    """Stripe gives 100 a second live and 25 in test mode, and 25 to each endpoint."""
    processor = Processor("p", "e", "stripe", "K", "S", (HoldStep("1.00"),), rate_per_s=asked)
    assert pacing_of(processor, key).rates == rates


@pytest.mark.parametrize("name", ["rate_per_s", "endpoint_rate_per_s"])
@pytest.mark.parametrize("rate", [0, -5, 1001])
def test_a_rate_that_is_none_is_refused(name: str, rate: int) -> None:
    processor = msgspec.structs.replace(
        Processor("p", "e", "stripe", "K", "S", (HoldStep("1.00"),)), **{name: rate}
    )
    with pytest.raises(BadInput, match="between 1 and 1000"):
        check_processor("$.processor[0]", processor, "USD")
