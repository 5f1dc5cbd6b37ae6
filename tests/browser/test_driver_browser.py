"""A driver at a charge point, with a phone: a real browser, the sandbox's card field, and a charge
point that does as it is told."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect

from rig.fixtures import dsn
from rig.network import STARTS_AT, Body
from rig.points import Point
from rig.system import System, system

__all__ = ["dsn"]

T = TypeVar("T")
WAIT_MS = 15_000
expect.set_options(timeout=WAIT_MS)
PHONE = {"width": 375, "height": 740}


class Site:
    """A whole system in a thread of its own, whose browser is in this one."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._ready, self._end = threading.Event(), threading.Event()
        self._loop = asyncio.new_event_loop()
        self.now = STARTS_AT
        self.running: System
        self.point: Point
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as error:  # said by whoever waits
            self._failed = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        async with system(self._dsn, change=_guests) as self.running:
            self.point = self.running.point("CP-1")
            await self.point.boot()
            await self.point.status("Available", STARTS_AT)
            self._ready.set()
            while not self._end.is_set():
                # Driven business time: what is due is done when it is said what time it is.
                await self.running.clock(self.now)
                await asyncio.sleep(0.1)

    def __enter__(self) -> Site:
        self._thread.start()
        self._ready.wait(60)
        assert self._failed is None, self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Done there, waited for here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    @property
    def url(self) -> str:
        return f"{self.running.server.http_url}/q/CP-1"


def _guests(body: Body) -> None:
    body["plan"][0]["ad_hoc"] = True
    body["processor"][0]["publishable_key_env"] = "RIG_PUBLIC_KEY"
    body["payment"] = [{"routes": ["checkout"], "second_charge": True}]
    body["receipts"] = {"base_url": "https://pay.example.com", "link_secret_env": "RIG_LINK_SECRET"}


def until(found: Callable[[], T]) -> T:
    """What it gives, as soon as it is something."""
    give_up_at = time.monotonic() + WAIT_MS // 1000
    while time.monotonic() < give_up_at:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come to be")


@pytest.fixture
def site(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("RIG_PUBLIC_KEY", os.environ.get("RIG_PUBLIC_KEY", "pk_test_rig"))
    monkeypatch.setenv("RIG_LINK_SECRET", "a secret of links that nobody guesses")
    with Site(dsn) as found:
        yield found


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    yield page
    context.close()
    wrong = [text for text in said if "Failed to load resource" not in text]
    assert wrong == [], "nothing is wrong in the console, and nothing against the policy"


def test_pay_charge_stop_and_see_what_it_cost(site: Site, phone: Page) -> None:
    phone.goto(site.url)
    expect(phone.get_by_role("heading", name="Yard")).to_be_visible()
    expect(phone.get_by_text("$0.30/kWh")).to_be_visible()
    expect(phone.locator("#offer").get_by_text("$25.00")).to_be_visible()
    phone.get_by_label("E-mail for the receipt").fill("guest@example.com")
    phone.get_by_label("If charging costs more").check()
    button = phone.get_by_role("button", name="Pay and start")
    expect(button).to_be_enabled()
    wide = phone.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], "nothing hangs over a phone's edge"

    # A card that is declined first, by the keyboard; the same page, another card.
    phone.get_by_label("Test card").select_option("pm_card_visa_chargeDeclined")
    button.press("Enter")
    expect(phone.get_by_role("alert")).to_contain_text("declined")
    assert site.point.remote_starts == [], "no remote start without a hold"
    phone.get_by_label("Test card").select_option("pm_card_visa")
    button.press("Enter")
    expect(phone.locator("[aria-current=step]")).to_have_text("Starting")
    (token,) = until(lambda: list(site.point.remote_starts))

    number = site.do(site.point.start(token, STARTS_AT, 1_000))
    expect(phone.locator("[aria-current=step]")).to_have_text("Charging")
    # 10 kWh at 0.30 and 10 % tax: 3.30.
    later = STARTS_AT + timedelta(minutes=30)
    site.now = later
    site.do(site.running.clock(later))
    site.do(site.point.meter(number, later, 11_000))
    expect(phone.locator("#energy")).to_have_text("10.00 kWh")
    expect(phone.locator("#cost")).to_have_text("$3.30")
    phone.reload()
    expect(phone.locator("#cost")).to_have_text("$3.30")

    phone.get_by_role("button", name="Stop charging").press("Enter")
    until(lambda: site.point.remote_stops == [number])
    site.do(site.point.stop(number, later, 11_000, "Remote"))
    site.do(site.point.status("Available", later))
    site.now = later + timedelta(minutes=10)
    expect(phone.locator("#said")).to_contain_text("Done")
    (row,) = site.do(site.running.rows("SELECT * FROM payment"))
    assert (row["state"], row["captured_minor"]) == ("captured", 330)
    assert row["consent"], "it was ticked"
    assert row["customer"], "the card stays with somebody"
    assert row["reusable_method"], "so that what is above the hold could be charged"


def test_whoever_has_lost_the_page_finds_the_receipt(site: Site, phone: Page) -> None:
    """From 08:00 to 08:30 on the spot: 09:45 is too late, even to within an hour."""
    phone.goto(site.url)
    button = phone.get_by_role("button", name="Pay and start")
    expect(button).to_be_enabled()
    phone.get_by_label("Test card").select_option("pm_card_visa")
    button.click()
    (token,) = until(lambda: list(site.point.remote_starts))
    number = site.do(site.point.start(token, STARTS_AT, 1_000))
    later = STARTS_AT + timedelta(minutes=30)
    site.now = later
    site.do(site.running.clock(later))
    site.do(site.point.stop(number, later, 11_000, "Local"))
    site.do(site.point.status("Available", later))
    site.now = later + timedelta(minutes=10)
    expect(phone.get_by_role("link", name="Receipt", exact=True)).to_be_visible()

    phone.goto("about:blank")
    phone.goto(site.url)
    phone.get_by_role("link", name="Find your receipt").click()
    phone.get_by_label("Last four digits of the card").fill("4242")
    phone.get_by_label("When you charged").fill("2026-11-02T09:45")
    phone.get_by_role("button", name="Find").click()
    expect(phone.get_by_role("alert")).to_contain_text("No payment by this card")
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    phone.get_by_label("When you charged").fill("2026-11-02T08:15")
    phone.get_by_role("button", name="Find").click()
    expect(phone).to_have_url(re.compile(r"/r/ses_"))
    expect(phone.get_by_text("10.000 kWh").first).to_be_visible()


def test_a_bank_that_asks_and_a_driver_who_cancels(site: Site, phone: Page) -> None:
    phone.emulate_media(color_scheme="dark")
    phone.goto(site.url)
    button = phone.get_by_role("button", name="Pay and start")
    expect(button).to_be_enabled()
    phone.get_by_label("Test card").select_option("pm_card_authenticationRequired")
    button.click()
    phone.get_by_role("button", name="Yes, it is me").click()
    expect(phone.locator("[aria-current=step]")).to_have_text("Starting")
    phone.get_by_role("button", name="Cancel").click()
    expect(phone.locator("#said")).to_contain_text("cancelled")
    expect(phone.get_by_role("button", name="Try again")).to_be_visible()


def test_a_wrong_address_is_said_beside_its_field(site: Site, phone: Page) -> None:
    phone.goto(site.url)
    button = phone.get_by_role("button", name="Pay and start")
    expect(button).to_be_enabled()
    field = phone.get_by_label("E-mail for the receipt")
    field.fill("no address")
    button.click()
    expect(phone.get_by_text("This is no e-mail address.")).to_be_visible()
    expect(field).to_be_focused()
    assert site.do(site.running.rows("SELECT 1 FROM start_request")) == []
