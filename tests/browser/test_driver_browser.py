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
from looks import faint, overhang
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
    monkeypatch.setenv("RIG_LINK_SECRET", "a secret that is long enough for links")
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


def _ready(page: Page, url: str, card: str = "pm_card_visa") -> Any:
    """The page, as far as Pay."""
    page.goto(url)
    button = page.get_by_role("button", name="Pay and start")
    expect(button).to_be_enabled()
    page.get_by_label("Test card").select_option(card)
    return button


def _holds(site: Site) -> list[str]:
    """The states at the processor of all that was ever asked for."""
    return [intent["status"] for intent in site.do(site.running.sandbox.intents())]


def test_pressed_twice_it_is_one_hold(site: Site, phone: Page) -> None:
    button = _ready(phone, site.url)
    button.dblclick()
    expect(phone.locator("[aria-current=step]")).to_have_text("Starting")
    assert _holds(site) == ["requires_capture"]


def test_loaded_again_in_the_middle_it_is_the_same_payment(site: Site, phone: Page) -> None:
    """The bank asks, and the driver loads the page again instead of an answer."""
    _ready(phone, site.url, "pm_card_authenticationRequired").click()
    expect(phone.get_by_role("button", name="Yes, it is me")).to_be_visible()
    phone.reload()
    expect(phone.locator("#note")).to_contain_text("not finished")
    button = phone.get_by_role("button", name="Pay and start")
    expect(button).to_be_enabled()
    phone.get_by_label("Test card").select_option("pm_card_visa")
    button.click()
    expect(phone.locator("[aria-current=step]")).to_have_text("Starting")
    assert _holds(site) == ["requires_capture"]


def test_a_page_that_is_closed_leaves_nothing_that_can_be_paid(
    site: Site, phone: Page, browser: Browser
) -> None:
    """The next driver starts at once; what the first one was asked for is cancelled."""
    _ready(phone, site.url, "pm_card_authenticationRequired").click()
    expect(phone.get_by_role("button", name="Yes, it is me")).to_be_visible()
    (intent,) = site.do(site.running.sandbox.intents())
    phone.goto("about:blank")
    other = browser.new_context(viewport=PHONE).new_page()
    _ready(other, site.url).click()
    expect(other.locator("[aria-current=step]")).to_have_text("Starting")
    until(lambda: sorted(_holds(site)) == ["canceled", "requires_capture"])
    found = site.do(site.running.sandbox.intents())
    assert {each["id"]: each["status"] for each in found}[intent["id"]] == "canceled"
    phone.goto(site.url)
    expect(phone.locator("#said")).to_contain_text("closed before a card was confirmed")
    other.context.close()


def test_two_drivers_at_one_connector(site: Site, phone: Page, browser: Browser) -> None:
    _ready(phone, site.url, "pm_card_authenticationRequired").click()
    expect(phone.get_by_role("button", name="Yes, it is me")).to_be_visible()
    other = browser.new_context(viewport=PHONE).new_page()
    button = _ready(other, site.url)
    button.click()
    expect(other.get_by_role("alert")).to_contain_text("Somebody is paying for this connector")
    expect(other.get_by_role("alert")).to_contain_text("try again in")
    phone.get_by_role("button", name="Yes, it is me").click()
    expect(phone.locator("[aria-current=step]")).to_have_text("Starting")
    assert _holds(site) == ["requires_capture"]
    other.context.close()


def test_two_tabs_of_one_driver_are_one_payment(site: Site, phone: Page) -> None:
    first = _ready(phone, site.url)
    second = phone.context.new_page()
    button = _ready(second, site.url)
    first.click()
    button.click()
    for page in (phone, second):
        expect(page.locator("[aria-current=step]")).to_have_text("Starting")
    assert _holds(site) == ["requires_capture"]
    second.get_by_role("button", name="Cancel").click()
    expect(phone.locator("#said")).to_contain_text("cancelled")


@pytest.mark.parametrize("lost", ["before", "start", "answer", "confirm", "paid"])
def test_the_network_fails_while_it_is_paid(site: Site, phone: Page, lost: str) -> None:
    """Wherever it fails, Pay once more is the same payment, and the page says how it stands."""
    button = _ready(phone, site.url)
    pattern = {"start": "**/q/-/starts", "answer": "**/q/-/starts", "confirm": "**/confirm",
               "paid": "**/q/-/start/paid*"}.get(lost)  # fmt: skip
    if lost == "before":
        phone.context.set_offline(True)
        expect(phone.locator("#away")).to_contain_text("No connection")
    elif lost == "start":
        phone.route(pattern, lambda route: route.abort(), times=1)
    else:  # it arrives, and its answer does not

        def swallow(route: Any) -> None:
            route.fetch()
            route.abort()

        phone.route(pattern, swallow, times=1)
    button.click()
    if lost == "before":
        expect(phone.get_by_role("alert")).to_contain_text("No connection")
        phone.context.set_offline(False)
        expect(phone.locator("#away")).to_be_hidden()
    if lost == "confirm":
        expect(phone.get_by_role("alert")).to_contain_text("you never pay twice")
    if lost != "paid":
        expect(button).to_be_enabled()
        button.click()
    expect(phone.locator("[aria-current=step]")).to_have_text("Starting")
    assert _holds(site) == ["requires_capture"]


def test_scanned_again_it_is_still_the_drivers_session(site: Site, phone: Page) -> None:
    """The tab was closed, and the code is scanned once more: it charges on, and can be stopped."""
    _ready(phone, site.url).click()
    (token,) = until(lambda: list(site.point.remote_starts))
    number = site.do(site.point.start(token, STARTS_AT, 1_000))
    expect(phone.locator("[aria-current=step]")).to_have_text("Charging")
    again = phone.context.new_page()
    phone.close()
    again.goto(site.url)
    expect(again.get_by_text("Charging.")).to_be_visible()
    again.context.set_offline(True)
    expect(again.locator("#away")).to_contain_text("Charging goes on")
    again.context.set_offline(False)
    again.get_by_role("button", name="Stop charging").click()
    until(lambda: site.point.remote_stops == [number])
    again.goto("about:blank")
    again.go_back()
    expect(again.get_by_role("button", name="Stop charging")).to_be_visible()


def test_the_processors_fields_do_not_come(site: Site, phone: Page) -> None:
    phone.route("**/js/v3", lambda route: route.abort())
    phone.clock.install()
    phone.goto(site.url)
    phone.clock.run_for(20_000)
    expect(phone.get_by_role("alert")).to_contain_text("Nothing was charged")
    expect(phone.get_by_role("link", name="Load the page again")).to_be_visible()
    expect(phone.get_by_role("button", name="Pay and start")).to_be_disabled()


def test_by_the_keyboard_alone(site: Site, phone: Page) -> None:
    phone.goto(site.url)
    expect(phone.get_by_role("button", name="Pay and start")).to_be_enabled()
    names = []
    for _ in range(4):
        phone.keyboard.press("Tab")
        names.append(phone.evaluate("document.activeElement.name || document.activeElement.id"))
    assert names == ["email", "consent", "sandbox-card", "go"]
    phone.keyboard.press("Enter")
    expect(phone.locator("#progress")).to_be_focused()
    phone.keyboard.press("Tab")
    assert phone.evaluate("document.activeElement.id") == "stop"
    phone.keyboard.press("Enter")
    expect(phone.locator("#said")).to_contain_text("cancelled")


def _look(page: Page, stage: str) -> list[str]:
    """What is hard to read, or hangs over the edge: on a telephone, on a desk, by day, by night."""
    wrong = []
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(250)  # a transition of colours
            where = f"{stage}, {width} px, {scheme}"
            wrong += [f"{where}: {text}" for text in faint(page)]
            wrong += [f"{where}: over the edge"] if overhang(page) > 0 else []
    return wrong


def test_every_stage_can_be_read_on_every_screen(site: Site, phone: Page) -> None:
    button = _ready(phone, site.url, "pm_card_visa_chargeDeclined")
    wrong = _look(phone, "offer")
    phone.get_by_label("E-mail for the receipt").fill("no address")
    button.click()
    phone.get_by_label("E-mail for the receipt").fill("")
    button.click()
    expect(phone.get_by_role("alert")).to_contain_text("another card")
    wrong += _look(phone, "declined")
    phone.reload()
    expect(phone.locator("#note")).to_contain_text("not finished")
    expect(button).to_be_enabled()
    wrong += _look(phone, "unfinished")
    phone.get_by_label("Test card").select_option("pm_card_visa")
    button.click()
    expect(phone.locator("[aria-current=step]")).to_have_text("Starting")
    wrong += _look(phone, "starting")
    (token,) = until(lambda: list(site.point.remote_starts))
    number = site.do(site.point.start(token, STARTS_AT, 1_000))
    site.now = later = STARTS_AT + timedelta(minutes=30)
    site.do(site.running.clock(later))
    site.do(site.point.meter(number, later, 11_000))
    expect(phone.locator("#cost")).to_have_text("$3.30")
    phone.context.set_offline(True)
    expect(phone.locator("#away")).to_be_visible()
    wrong += _look(phone, "charging, no network")
    phone.context.set_offline(False)
    site.do(site.point.stop(number, later, 11_000, "Remote"))
    site.do(site.point.status("Available", later))
    site.now = later + timedelta(minutes=10)
    expect(phone.locator("#said")).to_contain_text("Done")
    wrong += _look(phone, "done")
    phone.get_by_role("link", name="Receipt", exact=True).click()
    expect(phone.get_by_role("heading", name="Receipt")).to_be_visible()
    wrong += _look(phone, "receipt")
    phone.go_back()
    expect(phone.locator("#said")).to_contain_text("Done")
    phone.goto(f"{site.running.server.http_url}/q/NOBODY")
    wrong += _look(phone, "unknown")
    assert wrong == []


def test_what_is_measured_of_a_text(browser: Browser) -> None:
    """#777 on white has 4.48:1, #767676 has 4.54:1 (WCAG's own examples)."""
    page = browser.new_page()
    page.set_content("<body style='background:#fff'><p style='color:#777'>faint</p>"
                     "<p style='color:#767676'>good</p></body>")  # fmt: skip
    assert faint(page) == ["faint: 4.48"]
    page.close()


def test_a_slow_network_keeps_the_driver_informed(site: Site, phone: Page) -> None:
    """Each call takes a second: what is going on is said, and Pay can't be pressed again."""
    button = _ready(phone, site.url)
    network = phone.context.new_cdp_session(phone)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", {
        "offline": False, "latency": 1000, "downloadThroughput": -1, "uploadThroughput": -1,
    })  # fmt: skip
    button.click()
    expect(phone.locator("#note")).to_contain_text("Keep this page open")
    paying = phone.get_by_role("button", name="Paying")
    expect(paying).to_be_disabled()
    expect(phone.locator("[aria-current=step]")).to_have_text("Starting")
    assert _holds(site) == ["requires_capture"]
