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
