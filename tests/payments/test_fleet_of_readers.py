"""Readers and locations that a person makes at Stripe: once, whatever becomes of the answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rig.network import SECRETS
from rig.sandbox import Sandbox
from wattledger.entitlements.addresses import PostalAddress
from wattledger.errors import BadInput, ConfigError, ExternalFault
from wattledger.payments.model import Processor
from wattledger.payments.stripe.fleet import Fleet, Location, Reader, Wanted

ADDRESS = PostalAddress("US", "1 Main St", city="Oakland", state="CA", postal_code="94607")
DOOR = Wanted("depot", "Depot", "simulated-wpe", "Door", address=ADDRESS)
KIOSK = Wanted("depot", "Depot", "simulated-ux700", "Kiosk", unattended=True, address=ADDRESS)


def _account(url: str, key: str = "RIG_STRIPE_KEY") -> Processor:
    return Processor("stripe", "north", "stripe", key, "S", (), base_url=url,
                     rate_per_s=1000, endpoint_rate_per_s=1000)  # fmt: skip


@pytest.fixture
def fleet(processor: Sandbox) -> Fleet:
    return Fleet(_account(processor.url), SECRETS.__getitem__)


async def _registered(fleet: Fleet, wanted: Wanted) -> tuple[Location, Reader]:
    location, _ = await fleet.location_for(wanted)
    reader, _ = await fleet.register(wanted, location)
    return location, reader


async def test_a_reader_is_registered_where_the_site_is(fleet: Fleet) -> None:
    location, made = await fleet.location_for(DOOR)
    assert made
    assert (location.name, location.site, location.unattended) == ("Depot", "depot", False)
    reader, registered = await fleet.register(DOOR, location)
    assert registered
    assert (reader.label, reader.device_type, reader.status, reader.location_id) == (
        "Door", "simulated_wisepos_e", "online", location.id,
    )  # fmt: skip
    assert await fleet.readers() == [reader]


async def test_the_same_again_makes_nothing_twice(fleet: Fleet) -> None:
    first = await _registered(fleet, DOOR)
    assert await fleet.location_for(DOOR) == (first[0], False)
    assert await fleet.register(DOOR, first[0]) == (first[1], False)
    other = msgspec.structs.replace(DOOR, label="Other door")
    assert (await _registered(fleet, other))[1] != first[1]
    assert len(await fleet.locations()) == 1


@pytest.mark.parametrize(
    "kind", ["drop_after", "drop_before", "500_after", "500_before", "500_stored"]
)
@pytest.mark.parametrize("what", ["locations", "readers"])
async def test_whatever_becomes_of_an_answer_nothing_is_made_twice(
    processor: Sandbox, fleet: Fleet, kind: str, what: str
) -> None:
    await processor.fault(match=f"POST /v1/terminal/{what}", kind=kind)
    with pytest.raises(ExternalFault, match="nothing twice"):
        await _registered(fleet, DOOR)
    location, reader = await _registered(fleet, DOOR)
    assert [row.id for row in await fleet.locations()] == [location.id]
    assert [row.id for row in await fleet.readers()] == [reader.id]


async def test_a_reader_that_was_taken_away_is_made_anew_inside_the_keys_life(
    processor: Sandbox, fleet: Fleet
) -> None:
    _, reader = await _registered(fleet, DOOR)
    await fleet._terminal.readers.delete_async(reader.id)
    _, second = await _registered(fleet, DOOR)
    await fleet._terminal.readers.delete_async(second.id)
    _, third = await _registered(fleet, DOOR)
    assert len({reader.id, second.id, third.id}) == 3
    assert [row.id for row in await fleet.readers()] == [third.id]


async def test_attended_and_unattended_readers_of_a_site_stand_at_two_locations(
    processor: Sandbox, fleet: Fleet
) -> None:
    door, _ = await _registered(fleet, DOOR)
    kiosk, reader = await _registered(fleet, KIOSK)
    assert kiosk.id != door.id
    assert (kiosk.unattended, reader.device_type) == (True, "simulated_verifone_ux700")
    made = (await processor.all_of("terminal/locations"))[0]
    assert (made["attended_type"], made["unattended"]) == (
        "UNATTENDED", {"premise_type": "OFF_PREMISE"},
    )  # fmt: skip
    # Each is found again.
    assert (await fleet.location_for(DOOR), await fleet.location_for(KIOSK)) == (
        (door, False), (kiosk, False),
    )  # fmt: skip


async def test_an_account_that_has_no_unattended_readers_registers_none(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the parameter is not known: it is refused, and nothing is there."""
    monkeypatch.setattr("wattledger.payments.stripe.preview.VERSION", "2026-10-28.endive")
    with pytest.raises(BadInput) as refusal:
        await _registered(fleet, KIOSK)
    assert refusal.value.path == "attended_type"
    assert await fleet.locations() == []


@pytest.mark.parametrize("instead", [{}, {"attended_type": "ATTENDED"}])
async def test_a_location_that_stripe_does_not_call_unattended_takes_no_reader(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, instead: dict[str, str]
) -> None:
    """As where the parameter is taken and does nothing. It is not taken for one later either."""
    create = fleet._terminal.locations.create_async

    async def forgetful(params: dict[str, Any], options: dict[str, Any]) -> Any:
        kept = {name: of for name, of in params.items() if "attended" not in name}
        return await create({**kept, **(instead if kept != params else {})}, options)

    monkeypatch.setattr(fleet._terminal.locations, "create_async", forgetful)
    for _ in range(2):
        with pytest.raises(BadInput, match="does not call unattended"):
            await _registered(fleet, KIOSK)
    assert await fleet.readers() == []
    door, made = await fleet.location_for(DOOR)
    assert (made, door.unattended) == (True, False)


async def test_two_sites_of_one_name_and_address_share_no_location(fleet: Fleet) -> None:
    for wanted in (DOOR, KIOSK):
        mine, _ = await fleet.location_for(wanted)
        other, _ = await fleet.location_for(msgspec.structs.replace(wanted, site_id="annex"))
        assert (mine.site, other.site, mine.id == other.id) == ("depot", "annex", False)


async def test_a_location_whose_mark_was_lost_on_the_way_is_marked_by_the_next_try(
    processor: Sandbox, fleet: Fleet
) -> None:
    update = "POST /v1/terminal/locations/*"
    await processor.fault(match=update, kind="drop_before")
    with pytest.raises(ExternalFault):
        await fleet.location_for(KIOSK)
    location, _ = await fleet.location_for(KIOSK)
    assert location.unattended is True
    assert [row.id for row in await fleet.locations()] == [location.id]


async def test_without_an_address_only_what_is_there_is_found(fleet: Fleet) -> None:
    bare = msgspec.structs.replace(DOOR, address=None)
    with pytest.raises(BadInput, match="address"):
        await fleet.location_for(bare)
    location, _ = await _registered(fleet, DOOR)
    assert await fleet.location_for(bare) == (location, False)


async def test_a_location_made_by_hand_is_the_sites_where_it_says_so(
    processor: Sandbox, fleet: Fleet
) -> None:
    address = {f"address[{name}]": text for name, text in ADDRESS.parts.items()}
    await processor.stripe("terminal/locations", display_name="By hand", **address)
    named = {"metadata[wattledger_site]": "depot"}
    mine = await processor.stripe("terminal/locations", display_name="Mine", **named, **address)
    location, made = await fleet.location_for(DOOR)
    assert (location.id, made, location.unattended) == (mine["id"], False, None)


async def test_a_code_that_no_reader_shows_is_named(fleet: Fleet) -> None:
    wrong = msgspec.structs.replace(DOOR, code="quick-brown-fox")
    with pytest.raises(BadInput) as refusal:
        await _registered(fleet, wrong)
    assert refusal.value.path == "registration_code"
    assert await fleet.readers() == []


async def test_more_readers_than_a_page_has_are_all_listed(
    processor: Sandbox, fleet: Fleet
) -> None:
    for _ in range(101):
        await processor.stripe("terminal/readers", registration_code="simulated-wpe")
    assert len({reader.id for reader in await fleet.readers()}) == 101


async def test_a_key_that_stripe_does_not_take_is_named_by_its_variable_only(
    processor: Sandbox,
) -> None:
    fleet = Fleet(_account(processor.url, "WRONG"), {"WRONG": "sk_test_nobodys0123"}.__getitem__)
    with pytest.raises(ConfigError, match="WRONG") as refusal:
        await fleet.readers()
    assert "nobodys" not in str(refusal.value)


async def test_where_nothing_listens_it_says_so() -> None:
    fleet = Fleet(_account("http://127.0.0.1:9"), SECRETS.__getitem__)
    with pytest.raises(ExternalFault, match="can't be reached"):
        await fleet.readers()
