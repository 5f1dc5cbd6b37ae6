"""``wattledger terminal register`` and ``readers`` as a user runs them, at the stand-in."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rig.network import SECRETS, STARTS_AT
from rig.sandbox import Sandbox, sandbox
from wattledger.cli.main import main

CONFIG = """
[[entity]]
id = "north"
name = "North"
currency = "USD"
time_zone = "America/New_York"
[[entity]]
id = "south"
name = "South"
currency = "USD"
time_zone = "America/New_York"
[[tariff]]
id = "standard"
name = "standard"
currency = "USD"
[[tariff.elements]]
name = "all day"
components = [{ dimension = "energy", price = "0.40", unit = "kWh" }]
[[plan]]
id = "guest"
name = "Guests"
route = "terminal"
ad_hoc = true
[[processor]]
id = "stripe"
entity = "north"
kind = "stripe"
api_key_env = "TEST_READERS_KEY"
webhook_secret_env = "S"
base_url = "URL"
holds = [{ amount = "25.00" }]
[[processor]]
id = "other"
entity = "south"
kind = "stripe"
api_key_env = "TEST_READERS_OTHER_KEY"
webhook_secret_env = "S"
base_url = "URL"
holds = [{ amount = "25.00" }]
[[site]]
id = "depot"
name = "The Depot"
entity = "north"
time_zone = "America/New_York"
tariff = "standard"
processor = "stripe"
charge_points = [{ id = "D-1", power_w = 22000 }, { id = "D-2", power_w = 22000 }]
[site.postal_address]
line1 = "1 Main St"
city = "Oakland"
state = "CA"
postal_code = "94607"
country = "US"
[[site]]
id = "yard"
name = "Yard"
entity = "north"
time_zone = "America/New_York"
tariff = "standard"
processor = "stripe"
charge_points = [{ id = "Y-1", power_w = 22000 }]
[[site]]
id = "lot"
name = "Lot"
entity = "north"
time_zone = "America/New_York"
tariff = "standard"
"""


class Desk:
    """An operator's folder, and the account at Stripe."""

    def __init__(self, folder: Path, stripe: Sandbox, out: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "wattledger.toml"
        self.config.write_text(CONFIG.replace("URL", stripe.url))
        self.stripe = stripe
        self._out = out

    async def run(self, *options: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        given = ["terminal", *options, "--config", str(self.config)]
        try:
            code = await asyncio.to_thread(main, given)
        except SystemExit as end:
            code = int(str(end.code))
        said = self._out.readouterr()
        return code, said.out, said.err

    async def register(self, *options: str, site: str = "depot") -> dict[str, Any]:
        code, out, err = await self.run(
            "register", "--site", site, "--code", "simulated-wpe", "--json", *options
        )
        assert code == 0, err
        return dict(json.loads(out))

    async def readers(self) -> tuple[int, dict[str, Any]]:
        """The account of the sites."""
        code, out, _ = await self.run("readers", "--processor", "stripe", "--json")
        (account,) = json.loads(out)["accounts"]
        return code, account

    def paste(self, block: str) -> None:
        """Into the file, as it is printed."""
        with self.config.open("a") as file:
            file.write("\n" + block + "\n")


@pytest.fixture
async def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Desk]:
    monkeypatch.setenv("TEST_READERS_KEY", SECRETS["RIG_STRIPE_KEY"])
    monkeypatch.delenv("TEST_READERS_OTHER_KEY", raising=False)
    async with sandbox(STARTS_AT) as stripe:
        yield Desk(tmp_path, stripe, capsys)


async def test_what_is_printed_can_be_pasted_and_the_reader_is_that_terminal(desk: Desk) -> None:
    before = desk.config.read_text()
    found = await desk.register("--label", 'Bay "1"')
    assert desk.config.read_text() == before, "the file is never edited"
    (terminal,) = tomllib.loads(found["terminal"])["terminal"]
    assert terminal == {
        "id": "bay-1", "site": "depot", "provider": "stripe", "reader": found["reader"]["id"],
        "serves": ["D-1", "D-2"], "attended": True,
    }  # fmt: skip
    desk.paste(found["terminal"])
    code, account = await desk.readers()
    assert (code, account["problems"]) == (0, [])
    (reader,) = account["readers"]
    assert (reader["terminal"], reader["label"], reader["status"]) == ("bay-1", 'Bay "1"', "online")
    assert (reader["location"]["name"], reader["location"]["unattended"]) == ("The Depot", False)


async def test_the_same_command_again_makes_nothing_twice(desk: Desk) -> None:
    first, second = await desk.register(), await desk.register()
    assert (first["location"]["made"], first["reader"]["registered"]) == (True, True)
    assert (second["location"]["made"], second["reader"]["registered"]) == (False, False)
    assert second["reader"]["id"] == first["reader"]["id"]
    assert second["terminal"] == first["terminal"], "it is not in the file yet"
    desk.paste(first["terminal"])
    third = await desk.register()
    assert third["terminal"] is None
    assert third["notes"] == ["[[terminal]] the-depot has it already"]
    assert len(await desk.stripe.all_of("terminal/readers")) == 1


async def test_two_readers_of_a_site_get_terminals_of_their_own(desk: Desk) -> None:
    first = await desk.register()
    desk.paste(first["terminal"])
    second = await desk.register("--label", "The depot!")
    (terminal,) = tomllib.loads(second["terminal"])["terminal"]
    assert terminal["id"] == "the-depot-2"
    assert second["location"]["id"] == first["location"]["id"]


async def test_an_unattended_reader_stands_at_a_location_of_its_own(desk: Desk) -> None:
    first = await desk.register()
    second = await desk.register("--unattended", "--label", "Kiosk")
    assert second["location"]["id"] != first["location"]["id"]
    assert second["location"]["unattended"] is True
    assert tomllib.loads(second["terminal"])["terminal"][0]["attended"] is False
    assert ["UX700" in note for note in second["notes"]] == [True]


async def test_in_words_it_says_what_was_made_and_what_comes_next(desk: Desk) -> None:
    code, out, _ = await desk.run("register", "--site", "depot", "--code", "simulated-wpe")
    assert code == 0
    assert out.startswith("location tml_")
    assert "(The Depot): made\n" in out
    assert "online): registered\n" in out
    assert "`wattledger apply`:\n\n[[terminal]]\n" in out
    code, out, _ = await desk.run("readers", "--processor", "stripe")
    assert code == 0
    assert "no [[terminal]] has it; at The Depot" in out
    assert "; idle" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--site", "dep", "--code", "simulated-wpe"), "--site: got 'dep', expected the id of a"),
        (("--site", "depot", "--code", "quick-brown-fox"), "--code: got 'quick-brown-fox'"),
        (("--site", "depot", "--code", " "), "--code: got ''"),
        (("--site", "yard", "--code", "simulated-wpe"), "$.site[1].postal_address: got None"),
        (("--site", "lot", "--code", "simulated-wpe"), "site 'lot' has no processor"),
        (("--site", "depot", "--code", "simulated-wpe", "--processor", "other"), "--processor:"),
        (("--site", "depot", "--code", "simulated-wpe", "--label", "x" * 101), "--label:"),
        (("--site", "depot"), "--code"),
    ],
)
async def test_what_can_not_be_registered(desk: Desk, options: tuple[str, ...], said: str) -> None:
    code, out, err = await desk.run("register", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert await desk.stripe.all_of("terminal/readers") == []


async def test_a_site_without_a_processor_is_told_what_it_needs(desk: Desk) -> None:
    text = desk.config.read_text().replace('id = "lot"', 'id = "lot"\npostal_address = '
                                           '{ line1 = "1", country = "FI" }')  # fmt: skip
    desk.config.write_text(text)
    found = await desk.register("--processor", "stripe", site="lot")
    assert found["notes"] == [
        'site lot needs processor = "stripe" in its [[site]] as well',
        "site lot has no charge points yet: serves needs at least one",
    ]


async def test_no_key_in_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_READERS_KEY")
    for options in (("readers",), ("register", "--site", "depot", "--code", "simulated-wpe")):
        code, _, err = await desk.run(*options)
        assert code == 2
        assert "TEST_READERS_KEY is not set" in err


async def test_an_account_that_can_not_be_read_hides_no_other(desk: Desk) -> None:
    await desk.register()
    code, out, err = await desk.run("readers", "--json")
    first, second = json.loads(out)["accounts"]
    assert (code, len(first["readers"]), first["error"]) == (2, 1, None)
    assert "TEST_READERS_OTHER_KEY" in second["error"]
    assert "TEST_READERS_OTHER_KEY" in err


async def test_stripe_does_not_answer(desk: Desk) -> None:
    await desk.stripe.fault(match="GET /v1/terminal/*", kind="drop_before", times=2)
    for options in (("readers", "--processor", "stripe"),
                    ("register", "--site", "depot", "--code", "simulated-wpe")):  # fmt: skip
        code, _, err = await desk.run(*options)
        assert code == 3
        assert err.count("\n") == 1
        assert "no answer from Stripe" in err


async def test_a_terminal_that_can_not_work_as_it_stands_is_shown(desk: Desk) -> None:
    door = await desk.register("--label", "Door")
    kiosk = await desk.register("--label", "Kiosk", "--unattended")
    desk.paste(door["terminal"].replace("attended = true", "attended = false"))
    desk.paste(kiosk["terminal"].replace("attended = false", "attended = true"))
    desk.paste(door["terminal"].replace(door["reader"]["id"], "tmr_gone").replace("door", "gone"))
    await desk.stripe.sim(f"reader/{door['reader']['id']}/offline")
    await desk.stripe.sim("clock", now=STARTS_AT.replace(minute=2).isoformat())
    code, account = await desk.readers()
    of_door = f"[[terminal]] door: its reader {door['reader']['id']}"
    of_kiosk = f"[[terminal]] kiosk: its reader {kiosk['reader']['id']}"
    assert code == 1
    assert account["problems"] == [
        f"{of_kiosk} stands at an unattended location, and the file says attended = true",
        f"{of_door} is offline: nobody can pay there",
        f"{of_door} stands at an attended location, and the file says attended = false",
        "[[terminal]] gone: this account has no reader tmr_gone",
    ]
    code, out, _ = await desk.run("readers", "--processor", "stripe")
    assert (code, out.count("\n  ! ")) == (1, 4)


async def test_a_reader_at_another_sites_location_or_at_none_is_shown(desk: Desk) -> None:
    door = await desk.register("--label", "Door")
    loose = await desk.stripe.stripe("terminal/readers", registration_code="simulated-wpe")
    desk.paste(door["terminal"].replace('"depot"', '"yard"').replace('"D-1", "D-2"', '"Y-1"'))
    desk.paste(door["terminal"].replace(door["reader"]["id"], loose["id"]).replace("door", "b"))
    code, account = await desk.readers()
    assert code == 1
    assert account["problems"] == [
        f"[[terminal]] b: its reader {loose['id']} stands at no location: Stripe takes no payment"
        " there",
        f"[[terminal]] door: its reader {door['reader']['id']} stands at the location of site"
        " depot, not yard",
    ]


async def test_what_a_reader_does_is_said(desk: Desk) -> None:
    reader = (await desk.register())["reader"]["id"]
    intent = await desk.stripe.stripe(
        "payment_intents", amount="500", currency="usd", capture_method="manual",
        **{"allowed_payment_method_types[0]": "card_present"},
    )  # fmt: skip
    await desk.stripe.stripe(
        f"terminal/readers/{reader}/process_payment_intent", payment_intent=intent["id"]
    )
    _, out, _ = await desk.run("readers", "--processor", "stripe")
    assert f"shows a payment {intent['id']}" in out
    await desk.stripe.sim(f"reader/{reader}/fail", code="customer_canceled")
    _, out, _ = await desk.run("readers", "--processor", "stripe")
    assert f"idle, after a payment {intent['id']}: failed (customer_canceled)" in out
