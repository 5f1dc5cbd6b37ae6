"""The page of payments on a phone and by keyboard, in a real browser."""

from __future__ import annotations

import threading

import psycopg
import pytest
from playwright.sync_api import Browser, Page
from seed import FULL
from seed_payments import DISPUTE, PARKED
from seed_payments import payments as seed_payments

from wattledger.db.connect import Database
from wattledger.db.roles import Role

pytestmark = pytest.mark.browser
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"
WIDE = """() => [...document.querySelectorAll('body *')]
    .filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.tagName + '.' + e.className)"""


@pytest.fixture
def paid(serving: tuple[str, threading.Event], database: Database) -> str:
    """The address of the pages, with payments of every kind."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        seed_payments(conn)
    return serving[0]


def test_on_a_phone_nothing_is_wider_than_it(browser: Browser, paid: str) -> None:
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
        for path in ("/payments", f"/payments/{PARKED}", f"/payments/disputes/{DISPUTE}",
                     f"/sessions/{FULL}"):  # fmt: skip
            page.goto(paid + path)
            page.evaluate(OPEN_ALL)
            assert page.evaluate(WIDE) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.close()


def test_big_amounts_and_long_names_stand_beside_each_other(
    browser: Browser, paid: str, database: Database
) -> None:
    """Yen have no smaller unit, dinars have three places; an amount never covers what is beside."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        for number, (currency, minor) in enumerate((("JPY", 98_765_432), ("KWD", 123_456_789))):
            conn.execute(
                "INSERT INTO payment (id, entity_id, processor_id, currency, hold_minor, state,"
                " parked_why, parked, brand, last4, created_at) SELECT %s, entity_id, processor_id,"
                " %s, %s, 'parked', %s, parked, 'visa', '4242', created_at FROM payment"
                " WHERE id = %s",
                (f"pay_{'long' * 12}_{number}", currency, minor, "above charge_max " * 9, PARKED),
            )
    for width in (390, 1280):
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.goto(f"{paid}/payments")
        heads = page.locator("#parked .need-head")
        assert heads.count() == 3
        for n in range(3):
            amount = heads.nth(n).locator("> b").bounding_box()
            beside = heads.nth(n).locator("> div").bounding_box()
            assert amount is not None
            assert beside is not None
            assert (
                amount["x"] + amount["width"] <= beside["x"]
                or amount["y"] + amount["height"] <= beside["y"] + 1
            )
        assert page.evaluate(WIDE) == []
        page.close()


def test_why_was_i_charged_this_is_answered_from_the_keyboard(browser: Browser, paid: str) -> None:
    """The key, the card's last four and the amount, the session, its bill, and its payment."""
    page = browser.new_page()
    page.goto(f"{paid}/payments")
    page.keyboard.press("/")
    page.keyboard.type("4444 44.00")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions?q=*")
    page.locator(f'a[href="/sessions/{FULL}"]').first.press("Enter")
    page.wait_for_url(f"**/sessions/{FULL}")
    assert "€44.00" in page.locator(".bill .total").inner_text().replace(" ", "")
    page.locator('section:has(> header > h2:text("Hold and capture")) header a').press("Enter")
    page.wait_for_url("**/payments/pay_*")
    assert "Mastercard •••• 4444" in page.inner_text("h1")
    page.close()


def _tab_to(page: Page, text: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == text:
            return
    raise AssertionError(f"no {text!r} by keyboard")


def test_a_parked_payment_is_let_go_by_keyboard_alone(browser: Browser, paid: str) -> None:
    page = browser.new_page()
    page.goto(f"{paid}/payments")
    _tab_to(page, "Let it go…")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("called them")
    page.keyboard.press("Tab")
    page.keyboard.type("Ann")
    page.keyboard.press("Enter")
    page.wait_for_selector("#did")
    assert "Let go: pay_parked, by Ann: called them." in page.inner_text("#did")
    assert page.locator("#parked").count() == 0
    page.close()
