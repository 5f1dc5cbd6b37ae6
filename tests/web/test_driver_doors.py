"""The page at a charge point as an attacker meets it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from test_driver_page import JSON, KEY, _look, _post, _start, by, client, connected

from starts_yard import Yard
from wattledger.clock import DrivenClock
from wattledger.db.connect import Pool
from wattledger.db.effects import Done
from wattledger.db.work import Work
from wattledger.pipeline.starting import start_view

EVIL = "</main><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a minute, however slow the machine is."""
    monkeypatch.setattr("wattledger.rate.monotonic", lambda: 1_000.0)


async def _yard(work: Work, clock: DrivenClock, **changes: Any) -> Yard:
    found = await Yard.open(work, clock, processor__0__publishable_key_env="PUBLIC", **changes)
    await connected(found, "D-1")
    return found


async def test_no_name_becomes_a_part_of_the_page(
    work: Work, clock: DrivenClock, reader: Pool
) -> None:
    yard = await _yard(
        work, clock, site__0__name=EVIL, entity__0__name=EVIL, tariff__0__name=EVIL,
        fee=[{"text": EVIL, "amount": "0.50", "routes": ["checkout"]}],
    )  # fmt: skip
    async with client(yard, reader) as page:
        answers = [await page.get("/q/D-1"), await page.get(f"/q/{EVIL}"),
                   await page.get("/q/D-1", params={"connector": EVIL})]  # fmt: skip
    assert "&lt;script&gt;alert(1)" in answers[0].text
    for answer in answers:
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert not re.search(r"<[^>]* on[a-z]+=", answer.text), "no handler in an attribute"
        assert "<script>" not in answer.text, "nothing inline, which the policy forbids besides"
        assert answer.headers["cache-control"] == "no-store"


async def test_the_policy_of_the_page(work: Work, clock: DrivenClock, reader: Pool) -> None:
    """Scripts of ours and of Stripe; frames of Stripe; nothing else, and in nobody's frame."""
    yard = await _yard(work, clock)
    async with client(yard, reader) as page:
        said = (await page.get("/q/D-1")).headers["content-security-policy"]
    policy = dict(each.strip().split(" ", 1) for each in said.split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'self'",
        "script-src": "'self' https://js.stripe.com",
        "connect-src": "'self' https://api.stripe.com",
        "frame-src": "https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {},
        {**JSON, "sec-fetch-site": "cross-site"},
        {**JSON, "sec-fetch-site": "same-site"},
        {**JSON, "sec-fetch-site": "none"},
        {**JSON, "origin": "https://evil.example"},
        {**JSON, "origin": "http://test", "sec-fetch-site": "cross-site"},
        {**JSON, "origin": "null"},
    ],
)
async def test_a_form_of_another_page_starts_nothing(
    work: Work, clock: DrivenClock, reader: Pool, headers: dict[str, str]
) -> None:
    yard = await _yard(work, clock)
    body = f'{{"charge_point_id": "D-1", "connector_id": 1, "key": "{KEY}"}}'
    async with client(yard, reader) as page:
        answer = await page.post("/q/-/starts", content=body, headers=headers)
        own: tuple[dict[str, str], ...] = (
            {"origin": "http://test"}, {"origin": "http://test", "sec-fetch-site": "same-origin"},
            # A proxy that does not pass Host on; a page of another origin can't say this.
            {"origin": "https://charge.example", "sec-fetch-site": "same-origin"},
        )  # fmt: skip
        ours = [await page.post("/q/-/starts", content=body, headers=JSON | each) for each in own]
    assert answer.status_code == 403
    assert [each.status_code for each in ours] == [200] * 3
    assert "access-control-allow-origin" not in answer.headers


async def test_a_key_in_an_address_opens_nothing(
    work: Work, clock: DrivenClock, reader: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    """Addresses are written down by whatever they pass."""
    yard = await _yard(work, clock)
    async with client(yard, reader) as page:
        await _start(page)
        answer = await page.get(f"/q/-/starts/{KEY}", params={"at": "D-1"})
        assert (answer.status_code, "stage" in answer.text) == (404, False)
        assert (await page.get("/q/-/start", params={"at": "D-1", "key": KEY})).status_code == 403
    assert KEY not in caplog.text


async def test_a_driver_who_has_to_wait_reads_what_to_do(
    work: Work, clock: DrivenClock, reader: Pool
) -> None:
    yard = await _yard(work, clock, policies={"unpaid_starts_per_hour": 1})
    async with client(yard, reader) as page:
        await _start(page)
        taken = await _start(page, "cd" * 24)
        await _post(page, "stop")
        unpaid = await _start(page, "ef" * 24)
    assert (taken.status_code, taken.headers["retry-after"]) == (429, "90")
    assert "use another connector, or try again in 2 minutes" in taken.json()["error"]
    assert (unpaid.status_code, unpaid.headers["retry-after"]) == (429, "3600")
    assert "try again in 60 minutes" in unpaid.json()["error"]


async def test_a_driver_knows_that_somebody_pays_before_a_card_is_typed(
    work: Work, clock: DrivenClock, reader: Pool
) -> None:
    yard = await _yard(work, clock)
    async with client(yard, reader) as page:
        said = ["Somebody is paying" in (await page.get("/q/D-1")).text]
        await _start(page)
        said.append("Somebody is paying" in (await page.get("/q/D-1")).text)
        await _post(page, "left")
        said.append("Somebody is paying" in (await page.get("/q/D-1")).text)
    assert said == [False, True, False]


async def test_drivers_of_one_address_are_told_apart_by_their_keys(
    work: Work, clock: DrivenClock, reader: Pool
) -> None:
    """A phone company's customers are one address: who has a key is not slowed down by it."""
    yard = await _yard(work, clock)
    async with client(yard, reader) as page:
        await _start(page)
        for _ in range(30):
            assert (await _look(page))["stage"] == "paying"
        others = [await page.get("/q/-/start", params={"at": "D-1"}, headers=by(f"{n:048x}"))
                  for n in range(70)]  # fmt: skip
    codes = [each.status_code for each in others]
    assert codes == [404] * 60 + [429] * 10, "whoever guesses is slowed down"
    assert others[-1].headers["retry-after"] == "1"


async def test_no_browser_makes_many_calls_at_the_processor(
    work: Work, clock: DrivenClock, reader: Pool
) -> None:
    yard = await _yard(work, clock)
    async with client(yard, reader) as page:
        await _start(page)
        await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
        codes = [(await _post(page, "paid")).status_code for _ in range(14)]
    assert codes == [200] * 12 + [429] * 2


async def test_a_fault_is_said_in_words_and_tells_nothing(
    work: Work, clock: DrivenClock, reader: Pool, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    async def fails(*_: Any) -> Any:
        raise RuntimeError("psycopg: no connection to 10.0.0.3")

    yard = await _yard(work, clock)
    async with client(yard, reader) as page:
        await _start(page)
        monkeypatch.setattr(start_view, "see", fails)
        answer = await page.get("/q/-/start", params={"at": "D-1"}, headers=by(KEY))
    assert (answer.status_code, "10.0.0.3" in answer.text) == (503, False)
    assert "Try again" in answer.json()["error"]
    assert KEY not in caplog.text
