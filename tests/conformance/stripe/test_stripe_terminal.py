"""Rule 1.8: payments at a reader that the server drives, as docs.stripe.com/terminal has them."""

from __future__ import annotations

import pytest
import stripe

VISA, NO_FUNDS = "4242424242424242", "4000000000009995"
DAY_S = 86_400


class Site:
    """A location with a reader, and what is done with it."""

    def __init__(self, money):
        self.money = money
        terminal = money.v1.terminal
        address = {"line1": "1 Main St", "city": "Oakland", "state": "CA", "country": "US",
                   "postal_code": "94607"}  # fmt: skip
        self.location = terminal.locations.create({"display_name": "Depot", "address": address})
        self.reader = terminal.readers.create(
            {"registration_code": "simulated-wpe", "location": self.location.id}
        )

    def intent(self, amount=5000, **more):
        return self.money.v1.payment_intents.create(
            {
                "amount": amount,
                "currency": "usd",
                "allowed_payment_method_types": ["card_present"],
                "capture_method": "manual",
                **more,
            }
        )

    def process(self, intent_id):
        return self.money.v1.terminal.readers.process_payment_intent(
            self.reader.id, {"payment_intent": intent_id}
        )

    def present(self, number=VISA):
        helpers = self.money.v1.test_helpers.terminal.readers
        return helpers.present_payment_method(
            self.reader.id, {"type": "card_present", "card_present": {"number": number}}
        )

    def sim(self, what, **body):
        return self.money.sim(f"reader/{self.reader.id}/{what}", **body)

    def look(self):
        return self.money.v1.terminal.readers.retrieve(self.reader.id)

    def status(self, intent):
        return self.money.v1.payment_intents.retrieve(intent.id).status

    def told(self, outcome):
        return self.money.events(f"terminal.reader.action_{outcome}", self.reader.id)

    def held(self, amount=5000, number=VISA, **more):
        intent = self.intent(amount, **more)
        self.process(intent.id)
        self.present(number)
        return self.money.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})


@pytest.fixture
def site(money):
    return Site(money)


def refused(act, *args):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        act(*args)
    return refusal.value.code


def test_rule_1_8_the_reader_is_given_an_intent_and_the_card_presented_holds_it(site):
    intent = site.intent()
    assert intent.status == "requires_payment_method"
    reader = site.process(intent.id)
    assert (reader.action.type, reader.action.status) == ("process_payment_intent", "in_progress")
    assert reader.action.process_payment_intent.payment_intent == intent.id
    site.present()
    site.money.eventually(lambda: site.status(intent) == "requires_capture")
    assert site.look().action.status == "succeeded"


def test_rule_1_8_the_event_of_a_reader_has_the_reader_as_its_object(site):
    intent = site.held()
    assert site.money.eventually(lambda: site.told("succeeded"))
    event = site.money.v1.events.list(
        {"type": "terminal.reader.action_succeeded", "limit": 1}
    ).data[0]
    assert event.data.object.object == "terminal.reader"
    assert event.data.object.action.process_payment_intent.payment_intent == intent.id


def test_rule_1_8_the_success_of_the_reader_captures_nothing(site):
    intent = site.held()
    assert site.look().action.status == "succeeded"
    assert (intent.status, intent.amount_received) == ("requires_capture", 0)
    captured = site.money.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1234})
    assert (captured.status, captured.amount_received) == ("succeeded", 1234)


def test_rule_1_8_the_charge_names_its_reader_and_location(site):
    card = site.held().latest_charge.payment_method_details.card_present
    assert (card.reader, card.location) == (site.reader.id, site.location.id)
    assert (card.brand, card.last4, card.amount_authorized) == ("visa", "4242", 5000)


@pytest.mark.parametrize(
    ("number", "window_s"),
    # A Visa hold lasts 4 days and 18 hours, those of the other brands two days.
    [
        (VISA, 4 * DAY_S + 18 * 3600),
        ("5555555555554444", 2 * DAY_S),
        ("378282246310005", 2 * DAY_S),
    ],
)
def test_rule_1_8_a_hold_at_a_terminal_is_shorter_than_one_online(site, number, window_s):
    charge = site.held(number=number).latest_charge
    before = charge.payment_method_details.card_present.capture_before
    assert abs(before - charge.created - window_s) <= 60


def test_rule_1_8_a_declined_intent_is_used_again(site):
    intent = site.intent()
    site.process(intent.id)
    site.present(NO_FUNDS)
    site.money.eventually(lambda: site.look().action.status == "failed")
    action = site.look().action
    assert (action.failure_code, action.process_payment_intent.payment_intent) == (
        "card_declined",
        intent.id,
    )
    assert site.money.eventually(lambda: site.told("failed"))
    declined = site.money.v1.payment_intents.retrieve(intent.id)
    assert declined.status == "requires_payment_method"
    assert declined.last_payment_error.decline_code == "insufficient_funds"
    site.process(intent.id)
    site.present()
    site.money.eventually(lambda: site.status(intent) == "requires_capture")


def test_rule_1_8_an_intent_that_is_held_or_ended_is_not_processed(site):
    held = site.held()
    assert refused(site.process, held.id) == "intent_invalid_state"
    ended = site.intent()
    site.money.v1.payment_intents.cancel(ended.id)
    assert refused(site.process, ended.id) == "intent_invalid_state"


def test_rule_1_8_there_is_one_action_and_a_payment_not_begun_is_replaced(site):
    first, second = site.intent(1000), site.intent(2000)
    site.process(first.id)
    reader = site.process(second.id)
    assert reader.action.process_payment_intent.payment_intent == second.id
    site.present()
    site.money.eventually(lambda: site.status(second) == "requires_capture")
    assert site.status(first) == "requires_payment_method"


def test_rule_1_8_while_the_issuer_is_asked_the_reader_is_busy(site):
    intent, other = site.intent(), site.intent()
    site.process(intent.id)
    site.sim("present", number=VISA, processing_s=5)
    assert refused(site.process, other.id) == "terminal_reader_busy"
    cancel = site.money.v1.terminal.readers.cancel_action
    assert refused(cancel, site.reader.id) == "terminal_reader_busy"
    site.money.later(seconds=5)
    assert site.status(intent) == "requires_capture"
    assert site.process(other.id).action.status == "in_progress"


def test_rule_1_8_a_reader_with_a_card_still_in_it_is_busy(site):
    intent = site.intent()
    site.sim("busy", busy=True)
    assert refused(site.process, intent.id) == "terminal_reader_busy"
    site.sim("busy", busy=False)
    assert site.process(intent.id).action.status == "in_progress"


def test_rule_1_8_display_and_cancel_send_no_event(site):
    readers = site.money.v1.terminal.readers
    cart = {"currency": "usd", "total": 500,
            "line_items": [{"description": "10 kWh", "amount": 500, "quantity": 1}]}  # fmt: skip
    shown = readers.set_reader_display(site.reader.id, {"type": "cart", "cart": cart})
    assert shown.action.type == "set_reader_display"
    intent = site.intent()
    site.process(intent.id)  # the slot is free for it
    assert readers.cancel_action(site.reader.id).action is None
    assert site.status(intent) == "requires_payment_method"
    assert site.told("succeeded") == site.told("failed") == []


def test_rule_1_8_an_offline_reader_takes_nothing_and_keeps_nothing_for_later(site):
    intent = site.intent()
    site.sim("offline")
    site.money.later(seconds=119)
    assert site.look().status == "online"
    site.money.later(seconds=1)  # two minutes of silence
    assert site.look().status == "offline"
    assert refused(site.process, intent.id) == "terminal_reader_offline"
    site.sim("online")
    assert site.look().status == "online"
    assert site.look().action is None


def test_rule_1_8_a_reader_that_just_went_dark_times_out(site):
    intent = site.intent()
    site.sim("offline")
    assert refused(site.process, intent.id) == "terminal_reader_timeout"
    assert site.look().action is None


def test_rule_1_8_a_time_out_may_be_a_false_negative(site):
    intent = site.intent()
    site.sim("timeout", received=True)
    assert refused(site.process, intent.id) == "terminal_reader_timeout"
    # The reader got it all the same: the card presented next pays.
    assert site.look().action.process_payment_intent.payment_intent == intent.id
    site.present()
    assert site.status(intent) == "requires_capture"


def test_rule_1_8_a_time_out_may_be_a_true_one(site):
    intent = site.intent()
    site.sim("timeout", received=False)
    assert refused(site.process, intent.id) == "terminal_reader_timeout"
    assert site.look().action is None
    assert site.process(intent.id).action.status == "in_progress"


def test_rule_1_8_a_reader_that_lost_its_answer_stays_in_progress_and_the_intent_counts(site):
    intent = site.intent()
    site.process(intent.id)
    site.sim("present", number=VISA, outcome="lost")
    assert site.look().action.status == "in_progress"
    assert site.status(intent) == "requires_capture"
    assert site.told("succeeded") == site.told("failed") == []
    assert site.money.v1.terminal.readers.cancel_action(site.reader.id).action is None
    assert site.status(intent) == "requires_capture"


def test_rule_1_8_a_failure_of_the_connection_may_have_held_the_money(site):
    intent = site.intent()
    site.process(intent.id)
    site.sim("present", number=VISA, outcome="connection_error")
    action = site.look().action
    assert (action.status, action.failure_code) == ("failed", "connection_error")
    assert site.told("failed") == ["terminal.reader.action_failed"]
    assert site.status(intent) == "requires_capture"


def test_rule_1_8_the_cardholder_can_cancel_at_the_reader(site):
    intent = site.intent()
    site.process(intent.id)
    site.sim("fail", code="customer_canceled")
    assert site.look().action.failure_code == "customer_canceled"
    assert site.told("failed") == ["terminal.reader.action_failed"]
    assert site.status(intent) == "requires_payment_method"


def test_rule_1_8_the_same_card_has_the_same_fingerprint_online_and_at_a_reader(site):
    online = site.money.paid().latest_charge.payment_method_details.card
    there = site.held().latest_charge.payment_method_details.card_present
    assert online.fingerprint == there.fingerprint


def test_rule_1_8_a_card_at_a_reader_gives_a_reusable_one_where_it_was_agreed(site):
    customer = site.money.v1.customers.create()
    agreed = {"customer": customer.id, "setup_future_usage": "off_session"}
    card = site.held(**agreed).latest_charge.payment_method_details.card_present
    assert card.generated_card
    again = site.money.v1.payment_intents.create(
        {
            "amount": 700,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": card.generated_card,
            "off_session": True,
            "confirm": True,
        }
    )
    assert again.status == "succeeded"


def test_rule_1_8_a_phone_at_a_reader_gives_no_reusable_card_and_another_fingerprint(site):
    customer = site.money.v1.customers.create()
    intent = site.intent(customer=customer.id, setup_future_usage="off_session")
    site.process(intent.id)
    site.sim("present", number=VISA, wallet="apple_pay")
    found = site.money.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    card = found.latest_charge.payment_method_details.card_present
    assert (card.wallet.type, card.generated_card) == ("apple_pay", None)
    plain = site.held().latest_charge.payment_method_details.card_present
    assert card.fingerprint != plain.fingerprint


def test_rule_1_8_readers_are_listed_by_location_and_status(site):
    readers = site.money.v1.terminal.readers
    assert [r.id for r in readers.list({"location": site.location.id}).data] == [site.reader.id]
    none = readers.list({"location": site.location.id, "status": "offline"}).data
    assert none == []
    assert site.money.v1.terminal.locations.retrieve(site.location.id).display_name == "Depot"


def test_rule_1_8_an_online_intent_is_not_for_a_reader(site):
    intent = site.intent(allowed_payment_method_types=["card"])
    with pytest.raises(stripe.InvalidRequestError):
        site.process(intent.id)


@pytest.mark.parametrize(
    ("code", "device"),
    [
        ("simulated-wpe", "simulated_wisepos_e"),
        ("simulated-s700", "simulated_stripe_s700"),
        ("simulated-ux700", "simulated_verifone_ux700"),
    ],
)
def test_rule_1_8_a_simulated_reader_is_registered_by_its_code(site, code, device):
    readers = site.money.v1.terminal.readers
    reader = readers.create(
        {"registration_code": code, "location": site.location.id, "label": "Bay 1"}
    )
    assert (reader.device_type, reader.label, reader.status) == (device, "Bay 1", "online")
    with pytest.raises(stripe.InvalidRequestError):
        readers.create({"registration_code": "no-such-code", "location": site.location.id})


def test_rule_1_8_a_decline_says_why(site):
    intent = site.intent()
    site.process(intent.id)
    site.present(NO_FUNDS)
    site.money.eventually(lambda: site.look().action.status == "failed")
    action = site.look().action
    assert action.failure_message == "Your card has insufficient funds."
    if action.api_error:  # of newer readers
        assert (action.api_error.code, action.api_error.decline_code) == (
            "card_declined",
            "insufficient_funds",
        )
