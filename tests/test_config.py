"""The file: strict, each mistake told with its path, and turned into versions."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sample_config import whole
from wattledger.cli.starting import STARTING_FILE
from wattledger.config import parse, read, versions
from wattledger.contract import Route
from wattledger.errors import BadInput, ConfigError, WattledgerError
from wattledger.installation import secret


def test_a_whole_configuration_is_read() -> None:
    config = parse(whole())
    assert [site.id for site in config.site] == ["depot", "yard"]
    assert config.plan[1].route is Route.INVOICE
    assert config.server.host == "127.0.0.1"


def test_nothing_at_all_is_a_configuration() -> None:
    assert [v.kind for v in versions(parse({}))] == ["policies"]


HOLD = {"amount": "25.00"}
TARIFF = whole()["tariff"][0]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"colour": "red"}, "colour"),
        ({"site__0__colour": "red"}, "$.site[0]"),
        ({"server__http_port": "80"}, "$.server.http_port"),
        ({"server__http_port": 65_536}, "$.server.http_port"),
        ({"server__ocpp_port": -1}, "$.server.ocpp_port"),
        ({"server__clock": "fast"}, "$.server.clock"),
        ({"server__frame_retention_days": 0}, "$.server.frame_retention_days"),
        ({"policies__settle_window_s": -1}, "$.policies.settle_window_s"),
        ({"policies__idle_limit_s": 0}, "$.policies.idle_limit_s"),
        ({"policies__sample_interval_s": 0}, "$.policies.sample_interval_s"),
        ({"policies__reconcile_hour": 24}, "$.policies.reconcile_hour"),
        ({"policies__refused_energy": "forget"}, "$.policies.refused_energy"),
        ({"tariff": {"id": "x"}}, "$.tariff"),
        ({"tariff__0__elements": []}, "$.tariff[0].elements"),
        ({"tariff__1": TARIFF}, "$.tariff.id"),
        ({"entity__1__id": "north"}, "$.entity.id"),
        ({"entity__0__id": "no spaces"}, "$.entity.id"),
        ({"entity__0__time_zone": "EST5"}, "$.entity[0].time_zone"),
        ({"entity__0__currency": "usd"}, "$.entity[0].currency"),
        ({"entity__0__currency": "U1D"}, "$.entity[0].currency"),
        ({"processor__0__entity": "south"}, "$.processor[0].entity"),
        ({"processor__0__kind": "adyen"}, "$.processor[0].kind"),
        ({"processor__0__holds": []}, "$.processor[0].holds"),
        ({"processor__0__holds": [{"below_power_w": 5, "amount": "5"}]}, "$.processor[0].holds"),
        ({"processor__0__holds": [{"amount": "0"}]}, "$.processor[0].holds[0].amount"),
        ({"processor__0__holds": [{"amount": "1.005"}]}, "$.processor[0].holds[0].amount"),
        ({"processor__0__holds": [HOLD, {"amount": "-1"}]}, "$.processor[0].holds[1].amount"),
        ({"site__0__entity": "south"}, "$.site[0].entity"),
        ({"site__0__tariff": "gone"}, "$.site[0].tariff"),
        ({"site__0__tariff": "euro"}, "$.site[0].tariff"),
        ({"site__0__time_zone": "America/Gotham"}, "$.site[0].time_zone"),
        ({"site__0__tax_percent": "101"}, "$.site[0].tax_percent"),
        ({"site__0__tax_percent": "nine"}, "$.site[0].tax_percent"),
        ({"site__0__tax_percent": 9.5}, "$.site[0].tax_percent"),
        ({"site__0__processor": "adyen"}, "$.site[0].processor"),
        ({"site__0__processor": "stripe-eu"}, "$.site[0].processor"),
        ({"site__0__charge_points__0__power_w": 0}, "$.site[0].charge_points[0].power_w"),
        ({"site__1__charge_points__0__id": "D-1"}, "$.site.charge_points.id"),
        ({"plan__0__route": "barter"}, "$.plan[0].route"),
        ({"plan__1__discount_percent": "-1"}, "$.plan[1].discount_percent"),
        ({"plan__1__discount_percent": "0.0000001"}, "$.plan[1].discount_percent"),
        ({"plan__1__tariffs": {"moon": "cheap"}}, "$.plan[1].tariffs"),
        ({"plan__1__tariffs": {"depot": "gone"}}, "$.plan[1].tariffs.depot"),
        ({"plan__1__tariffs": {"depot": "euro"}}, "$.plan[1].tariffs.depot"),
        ({"account__0__plan": "gone"}, "$.account[0].plan"),
        ({"account__0__payment_method": None}, "$.account[0].payment_method"),
        ({"account__0__shortfall": "beg"}, "$.account[0].shortfall"),
        ({"account__1__tokens": ["x" * 37]}, "$.account[1].tokens"),
        ({"account__1__tokens": [""]}, "$.account[1].tokens"),
        ({"account__1__tokens": ["ann"]}, "$.account[1].tokens"),
        ({"target__0__entity": "south"}, "$.target[0].entity"),
        ({"target__0__url": "http://books.example.com"}, "$.target[0].url"),
        ({"target__0__url": "http://127.0.0.1:80@evil.example"}, "$.target[0].url"),
        ({"api_key__0__scopes": ["everything"]}, "$.api_key[0].scopes[0]"),
    ],
)
def test_a_mistake_is_told_with_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(WattledgerError) as caught:
        parse(whole(**change))
    assert path in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_message_says_what_came_and_what_there_is() -> None:
    with pytest.raises(BadInput) as caught:
        parse(whole(site__0__tariff="gone"))
    assert str(caught.value) == (
        "$.site[0].tariff: got 'gone', expected the id of a tariff (cheap, euro, standard)"
    )


def test_loopback_and_https_targets_are_fine() -> None:
    for url in ("https://a.example/x", "http://127.0.0.1:9000/x", "http://localhost:9000/x"):
        assert parse(whole(target__0__url=url)).target[0].url == url


def test_one_account_may_name_its_token_twice() -> None:
    assert parse(whole(account__1__tokens=["A", "a"])).account[1].tokens == ("A", "a")


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; `wattledger init` writes one"):
        read(tmp_path / "wattledger.toml")


@pytest.mark.parametrize("raw", [b"[server", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "wattledger.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"wattledger\.toml: not valid TOML"):
        read(path)


def test_a_mistake_in_a_file_names_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "wattledger.toml"
    path.write_text('[server]\nclock = "fast"\n')
    with pytest.raises(ConfigError, match=r"wattledger\.toml: .*\$\.server\.clock"):
        read(path)


def test_the_file_of_init_is_read() -> None:
    config = parse(tomllib.loads(STARTING_FILE))
    assert [v.key for v in versions(config)] == [
        "acme", "main", "fleet", "member", "policies", "depot", "standard",
    ]  # fmt: skip


def test_versions_are_named_by_their_content_and_nothing_else() -> None:
    first = {(v.kind, v.key): v.digest for v in versions(parse(whole()))}
    again = {(v.kind, v.key): v.digest for v in versions(parse(whole()))}
    dearer = whole()
    dearer["tariff"][0]["elements"][0]["components"][0]["price"] = "0.41"
    changed = {(v.kind, v.key): v.digest for v in versions(parse(dearer))}
    assert first == again
    assert {place for place in first if first[place] != changed[place]} == {("tariff", "standard")}
    # kind and key are part of the name: policies, 3 tariffs, 2 entities, 2 sites, 2 plans,
    # 3 accounts, 2 processors, 1 target
    assert len(set(first.values())) == 16


def test_secrets_stand_in_no_version() -> None:
    """Keys of our API and of the machine are not remembered at all."""
    assert {v.kind for v in versions(parse(whole()))} == {
        "policies", "tariff", "entity", "site", "plan", "account", "processor", "target",
    }  # fmt: skip


def test_a_secret_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATTLEDGER_TEST_KEY", raising=False)
    with pytest.raises(ConfigError, match="the environment variable WATTLEDGER_TEST_KEY is not"):
        secret("WATTLEDGER_TEST_KEY")
    monkeypatch.setenv("WATTLEDGER_TEST_KEY", "")
    with pytest.raises(ConfigError):
        secret("WATTLEDGER_TEST_KEY")
    monkeypatch.setenv("WATTLEDGER_TEST_KEY", "s3cret")
    assert secret("WATTLEDGER_TEST_KEY") == "s3cret"
