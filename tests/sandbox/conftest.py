"""A sandbox process per module and the official SDK against it, over a real socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import stripe

STRIPE_SECRET = "whsec_stripe_endpoint"
RECEIVER_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MONDAY = "2026-11-23T10:00:00Z"


class Catcher:
    """An endpoint for Stripe's events: what came, and what it answers next."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[str, bytes]] = []
        self.answers: list[int] = []
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                catcher.deliveries.append((self.headers["stripe-signature"], body))
                self.send_response(catcher.answers.pop(0) if catcher.answers else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/stripe"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self) -> list[stripe.Event]:
        """What came, each signature verified by the SDK."""
        return [
            stripe.Webhook.construct_event(body, signature, STRIPE_SECRET)
            for signature, body in self.deliveries
        ]

    def types(self) -> list[str]:
        return [event.type for event in self.events()]


class Sandbox:
    """The running process, its clients and its control endpoints."""

    def __init__(self, port: int, catcher: Catcher) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.catcher = catcher
        self.http = httpx.Client(base_url=self.url, trust_env=False)
        self.stripe = self.client()

    def client(self, key: str = "sk_test_sandbox", **options: Any) -> stripe.StripeClient:
        return stripe.StripeClient(
            key, base_addresses={"api": self.url}, max_network_retries=0, **options
        )

    def clock(self, now: str) -> int:
        answer = self.http.post("/_sim/clock", json={"now": now})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["delivered"])

    def flush(self) -> int:
        return self.clock(self.http.get("/_sim/clock").json()["now"])

    def fault(self, **spec: Any) -> None:
        answer = self.http.post("/_sim/faults", json=spec)
        assert answer.status_code == 200, answer.text

    def state(self) -> dict[str, Any]:
        return dict(self.http.get("/_sim/state").json())

    def hold(self, amount: int = 5000, **more: Any) -> stripe.PaymentIntent:
        """A hold of ``amount`` on a Visa."""
        return self.stripe.v1.payment_intents.create(
            {
                "amount": amount,
                "currency": "usd",
                "capture_method": "manual",
                "payment_method": "pm_card_visa",
                "confirm": True,
                **more,
            }
        )


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    catcher = Catcher()
    environment = {**os.environ, "S_SECRET": STRIPE_SECRET, "R_SECRET": RECEIVER_SECRET}
    options = {
        "--port": "0",
        "--now": MONDAY,
        "--stripe-webhook-url": catcher.url,
        "--stripe-webhook-secret-env": "S_SECRET",
        "--receiver-secret-env": "R_SECRET",
    }
    command = [sys.executable, "-m", "wattledger.sandbox"]
    for name, value in options.items():
        command += [name, value]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        running = Sandbox(ready["port"], catcher)
        yield running
        running.http.close()
        process.terminate()
        process.wait(10)
    catcher.server.shutdown()
    catcher.server.server_close()


@pytest.fixture(autouse=True)
def _quiet(sandbox: Sandbox) -> Iterator[None]:
    """Each test begins with nothing pending and no fault ordered."""
    sandbox.http.delete("/_sim/faults")
    sandbox.flush()
    sandbox.catcher.deliveries.clear()
    yield
    sandbox.catcher.answers.clear()
