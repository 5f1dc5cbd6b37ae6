"""The pages in a real browser: what only a browser can tell."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect
from seed import FULL, HELD, OPEN, Drive, write

from wattledger.db.connect import Database
from wattledger.db.roles import Role

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/?day=2026-10-30",
    "/sessions",
    "/sessions/refused",
    f"/sessions/{FULL}",
    f"/sessions/{HELD}",
    f"/sessions/{OPEN}",
    "/reconciliation",
    "/ledger",
    "/deliveries?kind=all",
    "/anomalies",
    "/anomalies/1",
)
# Every token of text on every ground that it may stand on.
CONTRAST = """
() => {
  const css = getComputedStyle(document.documentElement);
  const rgb = (name) => {
    const hex = css.getPropertyValue("--" + name).trim().slice(1);
    return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
  };
  const light = (name) => rgb(name)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const grounds = { ink: ["paper", "raised", "sunk", "accent-weak", "bad-weak"],
    "ink-2": ["paper", "raised", "sunk", "accent-weak"],
    "ink-3": ["paper", "raised", "sunk", "accent-weak"],
    accent: ["paper", "raised", "sunk", "accent-weak"],
    ok: ["paper", "sunk", "accent-weak"],
    bad: ["paper", "sunk", "accent-weak", "bad-weak"],
    warn: ["paper", "sunk", "warn-weak", "accent-weak"] };
  for (const [text, all] of Object.entries(grounds)) for (const ground of all) {
    const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
    found.push([text + " on " + ground, (a + 0.05) / (b + 0.05)]);
  }
  return found;
}
"""


@pytest.fixture
def tab(browser: Browser, address: str) -> Iterator[Page]:
    """A wide page that keeps what its console said."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=address)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert faults == []


def test_pages_are_quiet_and_never_wider_than_the_screen(tab: Page) -> None:
    for width in (1440, 390):
        tab.set_viewport_size({"width": width, "height": 844})
        for path in PAGES:
            tab.goto(path)
            tab.wait_for_timeout(150)
            beyond = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert beyond <= 0, f"{path} at {width}"


def test_charts_are_drawn_and_the_flow_is_a_list_on_a_phone(tab: Page) -> None:
    tab.goto("/?still")
    expect(tab.locator("#cum canvas")).to_be_visible()
    expect(tab.locator("#sankey canvas")).to_be_visible()
    expect(tab.locator("#flow .flowlist")).to_be_hidden()
    tab.locator("#aslist summary").click()
    expect(tab.locator("#flow .flowlist")).to_be_visible()
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto("/?still")
    expect(tab.locator("#sankey")).to_be_hidden()
    expect(tab.locator("#flow .flowlist")).to_be_visible()
    tab.goto(f"/sessions/{FULL}?still")
    expect(tab.locator("#power canvas")).to_be_visible()


def test_the_skip_link_comes_first_and_slash_leads_to_find(tab: Page) -> None:
    tab.goto("/")
    tab.keyboard.press("Tab")
    expect(tab.locator(":focus")).to_have_text("Skip to content")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "find"
    tab.keyboard.type(f"TOK-{FULL}")
    tab.keyboard.press("Enter")
    expect(tab.locator("tbody tr")).to_have_count(1)
    expect(tab.locator("tbody a")).to_have_attribute("href", f"/sessions/{FULL}")


def test_a_bill_button_marks_its_time_in_the_chart(tab: Page) -> None:
    tab.goto(f"/sessions/{FULL}?still")
    button = tab.get_by_role("button", name="Charger pause")
    button.focus()
    marked = json.loads(tab.locator("#power").get_attribute("data-marked") or "[]")
    assert [to - start for start, to in marked] == [540]
    expect(tab.locator("tr.on")).to_have_count(1)
    tab.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(tab.locator("#marked")).to_have_text(
        "Charger pause: 15:04–15:13 is marked in the chart."
    )
    tab.keyboard.press("Enter")
    tab.locator("#find").focus()
    assert tab.locator("#power").get_attribute("data-marked") == "[]"
    tab.get_by_role("button", name="Energy, peak").hover()
    expect(tab.locator("tr.on")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_on_every_ground(tab: Page, scheme: Any) -> None:
    tab.emulate_media(color_scheme=scheme)
    tab.goto("/reconciliation")
    low = [(pair, ratio) for pair, ratio in tab.evaluate(CONTRAST) if ratio < 4.5]
    assert low == []


def test_a_booked_session_arrives_with_all_its_figures(tab: Page, database: Database) -> None:
    tab.goto("/")
    expect(tab.locator("#live")).to_contain_text("last event")
    before = tab.locator("#charged .big data").get_attribute("value")
    drive = Drive("ses_live", "oost", datetime(2026, 11, 3, 14, 40, tzinfo=UTC), 9_000, 1800)
    with psycopg.connect(database.conninfo(Role.APP), autocommit=True) as conn:
        with conn.transaction():
            write(conn, drive, 4, age_days=0)
        conn.execute("NOTIFY wattledger_live")
    row = tab.locator('#tape tr:has(a[href="/sessions/ses_live"])')
    expect(row).to_be_visible(timeout=3000)
    assert row.get_attribute("class") == "fresh"
    total = tab.locator("#charged .big data").get_attribute("value")
    assert total != before
    curve = json.loads(tab.locator("#cum-data").text_content() or "{}")
    assert f"{curve['today'][-1][1] / 100:.2f}" == total
    expect(tab.locator("#sites tfoot")).to_contain_text("10")


def test_a_slow_network_does_not_lose_the_stream(tab: Page) -> None:
    def late(route: Any) -> None:
        tab.wait_for_timeout(400)
        route.continue_()

    tab.route("**/hx-sse.js*", late)
    tab.goto("/")
    expect(tab.locator("#live")).to_contain_text("Live, last event")


def test_a_server_that_went_away_is_said_and_figures_stay(
    browser: Browser, serving: tuple[str, threading.Event]
) -> None:
    context = browser.new_context(base_url=serving[0])
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#live")).to_contain_text("Live, last event")
    serving[1].set()
    expect(page.locator("#live")).to_contain_text("Not live since 16:42:08")
    expect(page.get_by_role("alert")).to_contain_text("The figures below stood at that time")
    expect(page.locator("#charged .big")).to_contain_text("122.88")
    context.close()


def test_still_means_no_animation(tab: Page) -> None:
    tab.goto("/?still")
    assert tab.evaluate("WL.theme().animation") is False
    tab.goto("/")
    assert tab.evaluate("WL.theme().animation") is True
    tab.emulate_media(reduced_motion="reduce")
    assert tab.evaluate("WL.theme().animation") is False


def test_a_join_filters_the_breaks_in_place(tab: Page) -> None:
    tab.goto("/reconciliation")
    expect(tab.locator("#breaks tbody tr")).to_have_count(3)
    tab.evaluate("window.same = true")
    tab.locator("#join-processor").click()
    expect(tab.locator("#breaks tbody tr")).to_have_count(2)
    expect(tab.locator("#join-processor")).to_have_attribute("aria-current", "true")
    assert tab.url.endswith("leg=processor")
    assert tab.evaluate("window.same") is True
    tab.locator("#join-payout").click()
    expect(tab.locator("#breaks")).to_contain_text("This leg is tied")
    tab.get_by_role("link", name="Show all legs").click()
    expect(tab.locator("#breaks tbody tr")).to_have_count(3)


def test_pages_say_the_same_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=address)
    page = context.new_page()
    page.goto("/reconciliation")
    page.locator("#join-processor").click()
    expect(page.locator("#breaks tbody tr")).to_have_count(2)
    page.goto("/")
    expect(page.locator("#charged .big")).to_contain_text("122.88")
    page.locator("#find").fill("TOK-" + FULL)
    page.locator("#find").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    context.close()


def test_an_anomaly_is_decided_by_keyboard_alone(tab: Page) -> None:
    """In the order in which the form is read; at the width of a phone, too."""
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto("/anomalies/1?still")
    tab.get_by_text("Correct…").focus()
    tab.keyboard.press("Enter")
    seen = []
    for _ in range(40):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate("document.activeElement.name || document.activeElement.innerText"))
        if seen[-1] == "stop_kwh":
            tab.keyboard.press("Control+a")
            tab.keyboard.type("125.5")
        elif seen[-1] in ("reason", "by"):
            tab.keyboard.type("Ann")
        elif seen[-1] == "Correct the session":
            break
    # A time has a field for each of its parts, and one for its calendar.
    steps = [name for n, name in enumerate(seen) if n == 0 or name != seen[n - 1]]
    assert steps == ["start_at", "start_kwh", "stop_at", "stop_kwh", "reason", "by",
                     "Correct the session"]  # fmt: skip
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("status")).to_contain_text("Corrected: register.fell, by Ann: Ann.")
    tab.goto(f"/sessions/{HELD}?still")
    expect(tab.locator("#anomalies")).to_contain_text("Corrected by Ann")
