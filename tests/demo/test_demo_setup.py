"""The demo's configuration is one an operator could have written."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

from wattledger import config
from wattledger.contract import Route
from wattledger.demo import setup
from wattledger.demo.drivers import Driver
from wattledger.demo.paying import Prepared
from wattledger.demo.plan import make_plan
from wattledger.gateway import auth
from wattledger.payments.model import hold_minor

PORTS = setup.Ports(http=8001, ocpp=8002, sandbox=8003)


def written(tmp_path: Path, count: int = 260) -> tuple[config.Config, dict[str, str]]:
    environment = setup.draw_secrets()
    path = tmp_path / "wattledger.toml"
    plan = make_plan(count, date(2026, 11, 24))
    saved = [account.id for account in setup.accounts_of(plan) if account.saved]
    prepared = Prepared(
        {account: (f"cus_{account}", f"pm_{account}") for account in saved},
        {"pasadena": "tmr_p", "new-york": "tmr_n"},
    )
    setup.write_config(path, plan, PORTS, environment, tmp_path / "data", prepared)
    return config.read(path), environment


def test_it_is_read_strictly_and_says_what_was_meant(tmp_path: Path) -> None:
    found, _ = written(tmp_path)
    assert found.server.clock == "driven"
    assert found.server.clock_followers == ("http://127.0.0.1:8003/_sim/clock",)
    assert {t.id: [e.name for e in t.elements] for t in found.tariff} == {
        "pasadena-tou": ["peak", "off-peak", "idle"],
        "new-york-minute": ["charging", "idle"],
        "burbank-flat": ["energy"],
    }
    assert {s.id: (s.time_zone, s.tax_percent) for s in found.site} == {
        "pasadena": ("America/Los_Angeles", "10.25"),
        "new-york": ("America/New_York", "8.875"),
        "burbank": ("America/Los_Angeles", "9.5"),
    }
    holds = {hold_minor(found.processor[0], watts, "USD") for watts in (7200, 49_999)}
    assert holds == {2500}
    assert hold_minor(found.processor[0], 150_000, "USD") == 5000


def test_every_session_finds_its_post_and_its_account(tmp_path: Path) -> None:
    found, environment = written(tmp_path, 599)
    posts = {c.id: (site.id, c) for site in found.site for c in site.charge_points}
    accounts = {token: a for a in found.account for token in a.tokens}
    plans = {p.id: p for p in found.plan}
    served = {post for terminal in found.terminal for post in terminal.serves}
    for session in make_plan(599, date(2026, 11, 24)).sessions:
        site_id, point = posts[session.charge_point_id]
        assert site_id == session.site_id
        assert len(session.token) <= 20  # OCPP 1.6: CiString20
        if session.driver is Driver.TERMINAL:  # comes with a bank card, and no token of its own
            assert session.token not in accounts
            assert point.id in served
            continue
        account = accounts[session.token]
        assert account.blocked == (session.driver is Driver.BLOCKED)
        assert (account.payment_method == "pm_card_chargeDeclined") == (
            session.driver is Driver.DECLINED
        )
        assert (account.shortfall == "debt") == (session.driver is Driver.DECLINED)
        if session.driver is Driver.MEMBER:  # the card on file, to be charged again
            assert account.customer == f"cus_{account.id}"
            assert account.payment_method == f"pm_{account.id}"
            assert account.consent
        else:
            assert account.customer is None
        assert (plans[account.plan].route is Route.EXTERNAL) == session.external
        assert (point.auth is None) == session.external
    member = plans["member"]
    assert (member.route, member.discount_percent) == (Route.CARD, "15")
    assert plans["fleet"].route is Route.INVOICE
    assert plans["bank-card"].route is Route.TERMINAL
    [payment] = found.payment
    assert (payment.plans, payment.hold, payment.second_charge) == (("member",), "6.00", True)
    assert environment


def test_passwords_are_only_there_as_hashes_and_no_secret_at_all(tmp_path: Path) -> None:
    found, environment = written(tmp_path)
    text = (tmp_path / "wattledger.toml").read_text()
    assert not any(secret in text for secret in environment.values())
    point = next(c for site in found.site for c in site.charge_points if c.auth)
    password = setup.charger_password(environment[setup.CHARGERS_ENV], point.id)
    assert 16 <= len(password) <= 40
    assert password not in text
    assert auth.verify(password, point.auth or "")
    assert not auth.verify(password[::-1], point.auth or "")


def test_toml_comes_back_as_it_was() -> None:
    body = {
        "a": {"text": 'quoted "and" \\ back', "yes": True, "list": [1, 2], "é": "ü"},
        "b": [{"x": {"y": 1}, "elements": [{"n": "one", "c": [{"k": 1}, {"k": 2}]}]}, {"x": {}}],
    }
    del body["a"]["é"]  # bare keys are ASCII; ours are
    assert tomllib.loads(setup.to_toml(body)) == body
