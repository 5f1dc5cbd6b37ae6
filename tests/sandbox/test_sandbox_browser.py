"""What a payment page does: with the publishable key, and with the stand-in of Stripe.js."""

from __future__ import annotations

import pytest

PAGE = "https://charge.example"


@pytest.fixture
def intent(sandbox):
    return sandbox.stripe.v1.payment_intents.create(
        {"amount": 5000, "currency": "usd", "capture_method": "manual", "metadata": {"a": "b"}}
    )


def _confirm(sandbox, intent, **more):
    form = {
        "key": "pk_test_sandbox",
        "client_secret": intent.client_secret,
        "payment_method": "pm_card_visa",
        "use_stripe_sdk": "true",
        **more,
    }
    return sandbox.http.post(
        f"/v1/payment_intents/{intent.id}/confirm", data=form, headers={"origin": PAGE}
    )


def test_a_browser_confirms_with_the_client_secret(sandbox, intent):
    answer = _confirm(sandbox, intent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (answer.json()["status"], answer.json()["amount"]) == ("requires_capture", 5000)
    # It is told no more than it may know.
    assert "metadata" not in answer.json()
    assert "latest_charge" not in answer.json()
    held = sandbox.stripe.v1.payment_intents.retrieve(intent.id)
    assert held.status == "requires_capture"


def test_a_browser_looks_the_intent_up(sandbox, intent):
    params = {"key": "pk_test_sandbox", "client_secret": intent.client_secret}
    answer = sandbox.http.get(f"/v1/payment_intents/{intent.id}", params=params)
    assert answer.json()["status"] == "requires_payment_method"
    assert "metadata" not in answer.json()


def test_without_the_secret_or_with_another_one_nothing_is_done(sandbox, intent):
    wrong = _confirm(sandbox, intent, client_secret="pi_x_secret_y")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "client_secret")
    none = sandbox.http.post(
        f"/v1/payment_intents/{intent.id}/confirm",
        data={"key": "pk_test_sandbox", "payment_method": "pm_card_visa"},
    )
    assert none.json()["error"]["code"] == "parameter_missing"
    assert _confirm(sandbox, intent, key="pk_test_other").status_code == 401
    status = sandbox.stripe.v1.payment_intents.retrieve(intent.id).status
    assert status == "requires_payment_method"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/payment_intents"),
        ("GET", "/v1/payment_intents"),
        ("POST", "/v1/payment_intents/{id}/capture"),
        ("POST", "/v1/payment_intents/{id}/cancel"),
        ("POST", "/v1/payment_intents/{id}"),
        ("GET", "/v1/customers"),
        ("POST", "/v1/refunds"),
    ],
)
def test_the_publishable_key_is_for_nothing_else(sandbox, intent, method, path):
    answer = sandbox.http.request(
        method,
        path.replace("{id}", intent.id),
        headers={"authorization": "Bearer pk_test_sandbox"},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "secret_key_required")


def test_the_secret_key_works_as_basic_authentication_too(sandbox, intent):
    path = f"/v1/payment_intents/{intent.id}"
    assert sandbox.http.get(path, auth=("sk_test_sandbox", "")).status_code == 200
    assert sandbox.http.get(path, auth=("sk_test_wrong", "")).status_code == 401


def test_a_decline_is_told_to_the_browser(sandbox, intent):
    answer = _confirm(sandbox, intent, payment_method="pm_card_visa_chargeDeclined")
    assert answer.status_code == 402
    assert answer.json()["error"]["code"] == "card_declined"
    # The same intent takes another card.
    assert _confirm(sandbox, intent).json()["status"] == "requires_capture"


def test_the_bank_is_answered_with_the_secret_of_the_intent(sandbox, intent):
    asked = _confirm(sandbox, intent, payment_method="pm_card_authenticationRequired")
    assert asked.json()["next_action"]["type"] == "use_stripe_sdk"
    url = f"/_sim/authenticate/{intent.id}"
    stolen = sandbox.http.post(url, data={"outcome": "passed", "client_secret": "x"})
    assert stolen.status_code == 400
    right = {"outcome": "passed", "client_secret": intent.client_secret}
    answer = sandbox.http.post(url, data=right, headers={"origin": PAGE})
    assert answer.json()["status"] == "requires_capture"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_the_script_is_served(sandbox):
    for path in ("/js/v3", "/js/v3/"):
        script = sandbox.http.get(path)
        assert script.headers["content-type"].startswith("text/javascript")
        assert "window.Stripe = Stripe" in script.text
