"""The page of payments: what needs somebody, what a person decides there, and refunds."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import unquote

import httpx
import psycopg
import pytest
from paid_template import paid_template
from psycopg.types.json import Jsonb
from seed import FULL
from seed_config import NOW, digest
from seed_payments import ASKED, DEBTOR, DISPUTE, LAPSING, PARKED, STUCK, SUSPENSE, TIE
from starlette.applications import Starlette

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database, Pool
from wattledger.db.embedded import EmbeddedServer
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.pipeline.world import World
from wattledger.receipts import links
from wattledger.web import page_routes

SECRET = "0123456789abcdef0123456789abcdef"
OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="session")
def template(server: EmbeddedServer, template: str) -> str:
    """Every database of these tests is the seeded network."""
    return paid_template(server, template)


@pytest.fixture
async def client(database: Database, reader: Pool, pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the pages that may decide."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        mail = {"host": "127.0.0.1", "security": "none", "sender": "r@example.com"}
        for kind, body in (("receipts", {"link_secret_env": "LINKS"}), ("mail", mail)):
            key = digest(kind, kind, body)
            conn.execute("INSERT INTO config_version VALUES (%s, %s, %s, %s)",
                         (key, kind, kind, Jsonb(body)))  # fmt: skip
            conn.execute(
                "INSERT INTO config_activation (kind, key, valid_from, digest)"
                " VALUES (%s, %s, %s, %s)",
                (kind, kind, NOW - timedelta(days=9), key),
            )
    clock = DrivenClock(NOW)
    routes = page_routes(
        reader, clock, None, world=World(Work(pool, clock)), secrets=lambda name: SECRET
    )
    transport = httpx.ASGITransport(app=Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as found:
        yield found


async def act(client: httpx.AsyncClient, name: str, subject: str, **more: str) -> httpx.Response:
    form = {"act": name, "subject": subject, "reason": "seen", "by": "Ann", "back": "/payments"}
    return await client.post("/payments/act", data=form | more, headers=OURS)


def words(page: str) -> str:
    """Without its markup."""
    return re.sub(r"<[^>]+>", "", page)


def section(page: str, name: str) -> str:
    found = re.search(rf'<section class="sec" id="{name}">.*?</section>', page, re.S)
    assert found is not None, f"the page has no section {name}"
    return found[0]


async def test_what_needs_somebody_stands_first_with_its_clock(client: httpx.AsyncClient) -> None:
    page = (await client.get("/payments")).text
    order = re.findall(r'<section class="sec" id="(\w+)">', page)
    assert order == ["parked", "stuck", "disputes", "warnings", "lapsing", "refunds", "failed",
                     "suspense", "debts"]  # fmt: skip
    assert "41 charges to one driver on a day" in section(page, "parked")
    assert "no answer from api.stripe.com: ReadTimeout" in section(page, "stuck")
    assert "in 6 days" in section(page, "disputes")
    assert "in 5 h" in section(page, "lapsing")
    assert "Ilse" in section(page, "refunds")
    assert "tried 1 time, next in 24 h, 4 Nov 16:42" in words(section(page, "debts"))
    assert '<a href="/sessions/ses_7_02">' in section(page, "suspense")


async def test_a_decision_names_its_person_and_is_said(client: httpx.AsyncClient) -> None:
    answer = await act(client, "payment.release", PARKED, reason="a fleet on tour")
    assert answer.status_code == 303
    assert unquote(answer.cookies["wattledger_by"]) == "Ann"
    page = (await client.get(answer.headers["location"])).text
    assert re.search(r"<b>Let go:</b> <code>pay_parked</code>, by Ann: a fleet on tour\.", page)
    assert 'id="parked"' not in page
    one = (await client.get(f"/payments/{PARKED}")).text
    assert "Let go by Ann" in one


@pytest.mark.parametrize(
    "path", ["/payments/act", f"/sessions/{FULL}/refund", f"/sessions/{FULL}/receipt"]
)
@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "null"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"},
     {"sec-fetch-site": "cross-site", "origin": "http://test"}, {"sec-fetch-site": "none"}],
)  # fmt: skip
async def test_no_money_moves_by_a_form_of_another_page(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    form = {"act": "payment.release", "subject": PARKED, "reason": "x", "by": "Eve", "whole": "1"}
    answer = await client.post(path, data=form, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert 'id="parked"' in (await client.get("/payments")).text


@pytest.mark.parametrize(
    "away", ["https://evil.example", "//evil.example/payments", "/\\evil.example", "javascript:x",
             "/payments\\..\\evil", "/payments?x=1", "payments", "/q/D-1"],
)  # fmt: skip
async def test_a_decision_leads_back_to_a_page_of_ours(
    client: httpx.AsyncClient, away: str
) -> None:
    answer = await act(client, "payment.release", PARKED, back=away)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/payments?did=")


async def test_the_name_of_who_decided_is_kept_by_the_browser_alone(
    client: httpx.AsyncClient,
) -> None:
    said = (await act(client, "payment.release", PARKED)).headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert "secure" not in said, "this page came over plain HTTP"
    over = {**OURS, "host": "test"}
    form = {"act": "payment.release", "subject": "x", "reason": "x", "by": "Ann"}
    answer = await client.post("https://test/payments/act", data=form, headers=over)
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_what_was_taken_too_much_is_given_back_on_its_page(
    client: httpx.AsyncClient, database: Database
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO payment (id, entity_id, processor_id, currency, hold_minor, state)"
            " VALUES ('pay_over', 'north', 'stripe', 'USD', 2500, 'charging')"
        )
        conn.execute(
            "UPDATE payment SET state = 'captured', captured_minor = 2500 WHERE id = 'pay_over'"
        )
    assert "Too much: $25.00 were taken" in words((await client.get("/payments/pay_over")).text)
    answer = await act(client, "payment.give_back", "pay_over", back="/payments/pay_over")
    page = words((await client.get(answer.headers["location"])).text)
    assert "Given back: pay_over, by Ann: seen." in page
    assert "Too much" not in page


async def test_a_form_of_another_page_changes_nothing(client: httpx.AsyncClient) -> None:
    form = {"act": "payment.release", "subject": PARKED, "reason": "x", "by": "Eve"}
    for headers in ({}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        for path in ("/payments/act", f"/sessions/{FULL}/refund", f"/sessions/{FULL}/receipt"):
            answer = await client.post(path, data=form, headers=headers)
            assert answer.status_code == 403
    assert 'id="parked"' in (await client.get("/payments")).text


async def test_what_is_wrong_is_said_and_what_was_typed_stays(client: httpx.AsyncClient) -> None:
    answer = await act(client, "payment.refuse", PARKED, reason=" ")
    assert answer.status_code == 422
    assert "Nothing was changed." in answer.text
    assert "The reason: this was nothing" in answer.text
    assert "<details open>" in section(answer.text, "parked")
    assert (await act(client, "payment.refuse", PARKED, by="")).status_code == 422
    assert (await act(client, "debt.try", "x/1")).status_code == 404
    assert (await act(client, "rob.bank", PARKED)).status_code == 422
    wrong = await act(client, "suspense.match", TIE, session_id="ses_7_02")
    assert wrong.status_code == 409  # a card pays that one
    assert 'value="ses_7_02"' in section(wrong.text, "suspense")


async def test_debts_and_suspense_are_decided(client: httpx.AsyncClient) -> None:
    page = (await client.get("/payments")).text
    debt = re.search(r'name="subject" value="(chg_\w+/2)"', section(page, "debts"))
    assert debt is not None
    assert (await act(client, "debt.write_off", debt[1])).status_code == 303
    for payment in (SUSPENSE, TIE):
        assert (await act(client, "suspense.keep", payment)).status_code == 303
    page = (await client.get("/payments")).text
    assert 'id="debts"' not in page
    assert 'id="suspense"' not in page


async def test_a_second_person_approves_a_refund(client: httpx.AsyncClient) -> None:
    listed = section((await client.get("/payments")).text, "refunds")
    assert "Whoever has this page’s password can approve" in listed
    own = await act(client, "refund.approve", ASKED, by="Ilse")
    assert own.status_code == 403
    assert "a second person has to approve it" in own.text
    assert (await act(client, "refund.approve", ASKED, by="Mette")).status_code == 303
    page = (await client.get(f"/sessions/{FULL}")).text
    assert "asked by Ilse, decided by Mette" in section(page, "refunds")
    # 44.00 less 9.00
    assert '<data class="m" value="35.00">' in page
    assert "Proven:" in page  # the new bill replays, with what was given back


async def test_where_a_key_approves_refunds_the_page_says_so_and_does_not(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = {"refund_limit": "1.00", "approve_by": "key"}
    key = digest("policies", "policies", body)
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute("INSERT INTO config_version VALUES (%s, 'policies', 'policies', %s)",
                     (key, Jsonb(body)))  # fmt: skip
        conn.execute(
            "INSERT INTO config_activation (kind, key, valid_from, digest)"
            " VALUES ('policies', 'policies', %s, %s)",
            (NOW - timedelta(days=1), key),
        )
    page = section((await client.get("/payments")).text, "refunds")
    assert "Approved by the API alone" in page
    assert 'value="refund.approve"' not in page
    assert 'value="refund.refuse"' in page
    assert (await act(client, "refund.approve", ASKED, by="Mette")).status_code == 403


async def test_a_refund_from_the_page_of_a_session(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/sessions/{FULL}")).text
    assert f'href="/r/{links.token(SECRET, FULL)}"' in page
    key = re.search(r'name="key" value="(\w+)"', section(page, "refund"))
    assert key is not None
    form = {"what": "amount", "amount": "99", "kind": "goodwill", "reason": "slow", "by": "Ann",
            "key": key[1]}  # fmt: skip
    much = await client.post(f"/sessions/{FULL}/refund", data=form, headers=OURS)
    assert much.status_code == 422
    assert "at most €44.00" in much.text
    assert 'value="99"' in section(much.text, "refund")
    form |= {"what": "lines", "line": "2"}
    once = await client.post(f"/sessions/{FULL}/refund", data=form, headers=OURS)
    again = await client.post(f"/sessions/{FULL}/refund", data=form, headers=OURS)
    assert (once.status_code, once.headers["location"]) == (303, again.headers["location"])
    page = (await client.get(once.headers["location"])).text
    # Energy, off-peak: 15.87 and 21 % tax, 3.33
    assert "<b>€19.20:</b> given back" in page


async def test_a_receipt_is_mailed_from_the_page_of_a_session(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/sessions/{FULL}")).text
    assert "Its driver left no address." in section(page, "mail")
    form = {"to": "ann", "by": "Ann", "mail_key": "1"}
    wrong = await client.post(f"/sessions/{FULL}/receipt", data=form, headers=OURS)
    assert wrong.status_code == 422
    assert "Nothing was mailed.</b> The address: this was “ann”" in wrong.text
    assert 'value="ann"' in section(wrong.text, "mail")
    form["to"] = "ann@example.com"
    for _ in range(2):  # the form sent twice mails once
        sent = await client.post(f"/sessions/{FULL}/receipt", data=form, headers=OURS)
        assert sent.status_code == 303
    page = (await client.get(sent.headers["location"])).text
    assert "<b>Receipt mailed again</b>, by Ann" in page
    assert 'name="mail_key" value="2"' in page


async def test_the_list_its_filters_and_its_empty_states(client: httpx.AsyncClient) -> None:
    page = (await client.get("/payments?show=stuck")).text
    assert f'href="/payments/{STUCK}"' in page
    assert f'href="/payments/{LAPSING}"' not in page
    assert f'href="/payments/{LAPSING}"' in (await client.get("/payments?q=4242")).text
    first = (await client.get("/payments")).text
    more = re.search(r'rel="next" href="([^"]+)"', first)
    assert more is not None
    second = (await client.get(more[1].replace("&amp;", "&"))).text
    rows = r'<td class="lead nowrap"><a href="(/payments/\w+)">'
    assert not set(re.findall(rows, first)) & set(re.findall(rows, second))
    assert "No payment matches" in (await client.get("/payments?q=nothing")).text
    assert (await client.get("/payments?state=x")).status_code == 400
    assert (await client.get("/payments?before=x")).status_code == 400
    assert (await client.get("/payments/pay_none")).status_code == 404


async def test_a_session_is_found_by_card_and_shows_all_of_its_money(
    client: httpx.AsyncClient, database: Database
) -> None:
    for path in ("/sessions?q=4444+44.00", "/payments?q=4444+44.00"):
        assert f'href="/sessions/{FULL}"' in (await client.get(path)).text
    none = (await client.get("/sessions?q=4444+43.99")).text
    assert "has all of “4444 43.99”" in none
    assert "an amount as 12.34" in none
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO payment (id, session_id, entity_id, processor_id, currency, hold_minor,"
            " state, leg, brand, last4, created_at) VALUES ('pay_second', %s, 'lind', 'stripe',"
            " 'EUR', 500, 'charging', 'second', 'mastercard', '4444', %s)", (FULL, NOW),
        )  # fmt: skip
    page = (await client.get(f"/sessions/{FULL}")).text
    assert 'href="/payments/pay_second"' in page
    told = words(section(page, "story"))
    assert told.index("Hold: Hold") < told.index("Hold: Capture")
    disputed = (await client.get("/sessions/ses_0_00")).text
    assert "in 6 days" in section(disputed, "disputes")


async def test_who_may_not_charge_is_shown_and_let(
    client: httpx.AsyncClient, database: Database
) -> None:
    assert 'id="blocks"' not in (await client.get("/payments")).text
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO token_block (account_id, blocked, why, cause, at)"
            " VALUES ('coop', true, 'blocked', 'du_open', %s)", (NOW,),
        )  # fmt: skip
    page = section((await client.get("/payments")).text, "blocks")
    assert "lost a dispute" in page
    answer = await act(client, "unblock", "coop")
    assert answer.status_code == 303
    page = (await client.get(answer.headers["location"])).text
    assert "<b>Block lifted:</b> <code>coop</code>, by Ann" in page
    assert 'id="blocks"' not in page


async def test_a_payment_without_an_answer_says_what_to_do(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/payments/{STUCK}")).text
    assert "<b>Capture without an answer:</b> no answer from api.stripe.com: ReadTimeout." in page
    assert "look it up in the processor’s dashboard" in words(page)


async def test_a_dispute_shows_what_the_bank_gets(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/payments/disputes/{DISPUTE}")).text
    assert "evidence is due 9 Nov 16:42, in 6 days" in words(page)
    assert "What is sent to the bank" in page
    answer = await act(client, "dispute.submit", DISPUTE, reason="", note="They were there.",
                       back=f"/payments/disputes/{DISPUTE}")  # fmt: skip
    assert answer.status_code == 303
    assert "What was sent" in (await client.get(answer.headers["location"])).text
    assert (await client.get("/payments/disputes/du_none")).status_code == 404
    for file in ("receipt", "service_documentation"):
        answer = await client.get(f"/payments/disputes/{DISPUTE}/{file}.pdf")
        assert answer.content.startswith(b"%PDF-")
        assert f'href="/payments/disputes/{DISPUTE}/{file}.pdf"' in page
    assert (await client.get(f"/payments/disputes/{DISPUTE}/x.pdf")).status_code == 404
    assert (await client.get("/payments/disputes/du_none/receipt.pdf")).status_code == 404


async def test_without_a_world_the_page_only_reads(page: httpx.AsyncClient) -> None:
    found = (await page.get("/payments")).text
    assert DEBTOR in found
    assert "<form method" not in found
    assert (await page.post("/payments/act", headers=OURS)).status_code == 404


async def test_what_the_database_can_not_hold_is_a_mistake_and_no_fault(
    client: httpx.AsyncClient,
) -> None:
    assert (await act(client, "payment.release", "a\0b")).status_code == 422
    assert (await act(client, "suspense.match", TIE, session_id="a\0b")).status_code == 422
    form = {"what": "lines", "line": "9" * 5000, "reason": "r", "by": "Ann", "kind": "correction"}
    answer = await client.post(f"/sessions/{FULL}/refund", data=form, headers=OURS)
    assert answer.status_code == 422
    assert (await client.get("/sessions/a%00b")).status_code == 404
    assert (await client.post("/sessions/a%00b/refund", data=form, headers=OURS)).status_code == 404
