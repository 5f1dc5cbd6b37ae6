"""The clock that runs as the machine's does, and the rate limits on it: what benchmarks use."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
import pytest

HOLD = {
    "amount": "500",
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "confirm": "true",
    "capture_method": "manual",
}


@pytest.fixture(scope="module")
def running() -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "wattledger.sandbox", "--port", "0"]
    command += ["--now", "2026-11-23T10:00:00Z", "--clock", "running", "--limits", "test"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        headers = {"authorization": "Bearer sk_test_sandbox"}
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
            yield client
        process.terminate()
        process.wait(10)


def _now(client: httpx.Client) -> datetime:
    return datetime.fromisoformat(client.get("/_sim/clock").json()["now"])


def test_the_clock_runs_from_where_it_was_started(running):
    before = _now(running)
    assert before - datetime.fromisoformat("2026-11-23T10:00:00Z") < timedelta(minutes=5)
    time.sleep(0.3)
    assert _now(running) - before >= timedelta(milliseconds=200)


def test_what_falls_due_happens_without_a_request(running):
    held = running.post("/v1/payment_intents", data=HOLD).json()
    nearly = _now(running) + timedelta(days=7) - timedelta(milliseconds=1500)
    running.post("/_sim/clock", json={"now": nearly.isoformat()})
    params = {"types[]": "payment_intent.canceled"}
    deadline = time.monotonic() + 10
    while not (events := running.get("/v1/events", params=params).json()["data"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert events[0]["data"]["object"]["id"] == held["id"]


def test_the_limit_fills_as_time_goes_by(running):
    time.sleep(1.1)
    started = time.monotonic()
    statuses = [running.get("/v1/customers").status_code for _ in range(60)]
    took_s = time.monotonic() - started
    # A second's worth at once, and 25 more for each second that it took.
    assert 25 <= statuses.count(200) <= 26 + 25 * took_s
    assert statuses.count(429) == 60 - statuses.count(200)
    refused = running.get("/_sim/limits").json()
    assert refused == {"limits": "test", "per_s": 25, "refused": statuses.count(429)}
    time.sleep(1.1)
    assert running.get("/v1/customers").status_code == 200


@pytest.mark.parametrize("wanted", [{"limits": "fast"}, {"limits": "live", "per_s": 0}, {}])
def test_limits_that_are_none(running, wanted):
    assert running.post("/_sim/limits", json=wanted).status_code == 400
