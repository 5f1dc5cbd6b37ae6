"""The sandbox's stand-in of Stripe.js on a page of another origin."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><title>Pay</title><div id="pay"></div><button id="go">Pay</button>
<p id="out"></p><script src="{sandbox}/js/v3"></script><script>
const stripe = Stripe("pk_test_sandbox");
const elements = stripe.elements({{clientSecret: "{secret}"}});
elements.create("payment").mount("#pay");
document.querySelector("#go").onclick = async () => {{
  const result = await stripe.confirmPayment({{
    elements, confirmParams: {{return_url: location.href}}, redirect: "if_required"
  }});
  const out = document.querySelector("#out");
  out.textContent = result.error ? result.error.code : result.paymentIntent.status;
}};
</script>"""


class Shop:
    """A page with what is to be paid, and the sandbox it is paid to."""

    def __init__(self, sandbox: str) -> None:
        self.html = ""
        self.sandbox = sandbox
        client = stripe.StripeClient(
            "sk_test_sandbox", base_addresses={"api": sandbox}, max_network_retries=0
        )
        self.intents = client.v1.payment_intents
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(shop.html.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sell(self) -> Any:
        intent = self.intents.create({"amount": 500, "currency": "usd", "capture_method": "manual"})
        self.html = PAGE.format(sandbox=self.sandbox, secret=intent.client_secret)
        return intent


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    command = [sys.executable, "-m", "wattledger.sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        running = Shop(f"http://127.0.0.1:{port}")
        yield running
        running.server.shutdown()
        running.server.server_close()
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    ("card", "bank", "told", "status"),
    [
        ("pm_card_visa", None, "requires_capture", "requires_capture"),
        ("pm_card_visa_chargeDeclined", None, "card_declined", "requires_payment_method"),
        ("pm_card_authenticationRequired", "passed", "requires_capture", "requires_capture"),
        (
            "pm_card_authenticationRequired",
            "failed",
            "payment_intent_authentication_failure",
            "requires_payment_method",
        ),
    ],
)
def test_a_driver_pays_on_a_page(browser: Browser, shop: Shop, card, bank, told, status):
    intent = shop.sell()
    page = browser.new_page()
    page.goto(shop.url)
    page.select_option("select[name=sandbox-card]", card)
    page.click("#go")
    if bank:
        page.click(f"dialog button[value={bank}]")
    page.wait_for_function("document.querySelector('#out').textContent")
    assert page.text_content("#out") == told
    assert shop.intents.retrieve(intent.id).status == status
    page.close()
