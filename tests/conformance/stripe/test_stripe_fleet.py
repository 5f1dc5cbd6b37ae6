"""Rule 1.8: readers and the locations where they stand, as docs.stripe.com/terminal/fleet and its
page on unattended readers have them. What is made here is taken away again."""

from __future__ import annotations

import contextlib
import uuid

import pytest
import stripe
from stripe_account import PREVIEW

ADDRESS = {"line1": "1 Main St", "city": "Oakland", "state": "CA", "country": "US",
           "postal_code": "94607"}  # fmt: skip
UNATTENDED = {"attended_type": "UNATTENDED", "unattended": {"premise_type": "OFF_PREMISE"}}


@pytest.fixture
def terminal(account):
    return account.v1.terminal


@pytest.fixture
def location(terminal):
    return terminal.locations.create(
        {"display_name": "Depot", "address": ADDRESS, "metadata": {"wattledger_site": "depot"}}
    )


@pytest.fixture
def register(terminal, location):
    """Registers simulated readers at the location, by the code of a device."""
    made = []

    def act(code="simulated-wpe", options=None, **more):
        params = {"registration_code": code, "location": location.id, **more}
        made.append(terminal.readers.create(params, options))
        return made[-1]

    yield act
    for reader_id in {reader.id for reader in made}:
        with contextlib.suppress(stripe.InvalidRequestError):  # the test has done it
            terminal.readers.delete(reader_id)


def _refused(act, *given):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        act(*given)
    return refusal.value


def test_rule_1_8_a_location_keeps_what_it_was_made_with(terminal, location):
    found = terminal.locations.retrieve(location.id)
    assert (found.display_name, found.address.country) == ("Depot", "US")
    assert found.metadata["wattledger_site"] == "depot"
    assert location.id in [row.id for row in terminal.locations.list({"limit": 100}).data]


def test_rule_1_8_a_location_can_be_renamed_and_moved(terminal, location):
    moved = {**ADDRESS, "line1": "2 Main St"}
    terminal.locations.update(
        location.id, {"display_name": "Yard", "address": moved, "metadata": {"floor": "1"}}
    )
    found = terminal.locations.retrieve(location.id)
    assert (found.display_name, found.address.line1) == ("Yard", "2 Main St")
    # Of the metadata what is named changes, and no more.
    assert (found.metadata["wattledger_site"], found.metadata["floor"]) == ("depot", "1")


@pytest.mark.parametrize("without", ["line1", "city", "state", "postal_code"])
def test_rule_1_8_in_the_united_states_a_location_needs_its_whole_address(terminal, without):
    address = {name: text for name, text in ADDRESS.items() if name != without}
    _refused(terminal.locations.create, {"display_name": "Depot", "address": address})


def test_rule_1_8_a_reader_says_where_it_stands_and_what_it_is(terminal, location, register):
    reader = register(label="Bay 1", metadata={"wattledger_site": "depot"})
    found = terminal.readers.retrieve(reader.id)
    assert (found.device_type, found.label) == ("simulated_wisepos_e", "Bay 1")
    assert (found.location, found.status, found.action) == (location.id, "online", None)
    assert found.metadata["wattledger_site"] == "depot"
    assert terminal.readers.retrieve(reader.id, {"expand": ["location"]}).location.id == location.id


def test_rule_1_8_a_reader_without_a_label_is_called_by_its_code(register):
    assert register().label == "simulated-wpe"


def test_rule_1_8_a_reader_can_be_renamed(terminal, register):
    reader = register(label="Bay 1", metadata={"a": "1"})
    terminal.readers.update(reader.id, {"label": "Bay 2", "metadata": {"b": "2"}})
    found = terminal.readers.retrieve(reader.id)
    assert (found.label, found.metadata["a"], found.metadata["b"]) == ("Bay 2", "1", "2")


def test_rule_1_8_under_one_key_a_reader_is_registered_once(terminal, location, register):
    key = {"idempotency_key": f"reader-{uuid.uuid4()}"}
    first, second = register(options=key), register(options=key)
    assert first.id == second.id
    assert [r.id for r in terminal.readers.list({"location": location.id}).data] == [first.id]


def test_rule_1_8_a_code_that_no_reader_shows_registers_nothing(terminal, location):
    given = {"registration_code": "no-such-code", "location": location.id}
    _refused(terminal.readers.create, given)
    assert terminal.readers.list({"location": location.id}).data == []


def test_rule_1_8_a_reader_stands_at_a_location_that_is_there(terminal):
    given = {"registration_code": "simulated-wpe", "location": "tml_none"}
    assert _refused(terminal.readers.create, given).code == "resource_missing"


def test_rule_1_8_a_reader_that_was_deleted_is_listed_no_more_and_takes_nothing(
    account, terminal, location, register
):
    kept, gone = register(), register()
    assert terminal.readers.delete(gone.id).deleted is True
    assert [r.id for r in terminal.readers.list({"location": location.id}).data] == [kept.id]
    intent = account.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "allowed_payment_method_types": ["card_present"],
         "capture_method": "manual"}
    )  # fmt: skip
    process = terminal.readers.process_payment_intent
    assert _refused(process, gone.id, {"payment_intent": intent.id}).code == "resource_missing"
    assert _refused(terminal.readers.delete, gone.id).code == "resource_missing"


def test_rule_1_8_a_deleted_reader_says_so(account, terminal, register):
    account.only_here("tell how long Stripe remembers it")
    gone = register()
    terminal.readers.delete(gone.id)
    assert terminal.readers.retrieve(gone.id).deleted is True


def test_rule_1_8_readers_are_listed_by_their_device(terminal, location, register):
    register()
    unattended = register("simulated-ux700")
    found = terminal.readers.list(
        {"location": location.id, "device_type": "simulated_verifone_ux700"}
    )
    assert [reader.id for reader in found.data] == [unattended.id]


def _unattended(account, **more):
    """A location where nobody stands by, where the account may have one."""
    params = {"display_name": "Depot", "address": ADDRESS, **UNATTENDED, **more}
    try:
        return account.v1.terminal.locations.create(params, {"stripe_version": PREVIEW})
    except stripe.InvalidRequestError as refusal:
        if account.is_sandbox:
            raise
        pytest.skip(f"no unattended readers for this account: {refusal.user_message}")


def test_rule_1_8_a_location_is_unattended_from_its_creation_on(account, terminal):
    location = _unattended(account)
    assert location.attended_type == "UNATTENDED"
    assert location.unattended.premise_type == "OFF_PREMISE"
    change = {"attended_type": "ATTENDED"}
    with pytest.raises(stripe.InvalidRequestError):
        terminal.locations.update(location.id, change, {"stripe_version": PREVIEW})


def test_rule_1_8_unattended_is_a_parameter_of_previews_only(account, terminal):
    account.only_here("tell what is general by now")
    refusal = _refused(
        terminal.locations.create, {"display_name": "D", "address": ADDRESS, **UNATTENDED}
    )
    assert refusal.code == "parameter_unknown"
