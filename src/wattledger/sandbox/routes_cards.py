"""Stripe's URLs about customers, cards and PaymentIntents."""

from __future__ import annotations

from stripe.params._customer_create_params import CustomerCreateParams
from stripe.params._customer_retrieve_params import CustomerRetrieveParams
from stripe.params._payment_intent_cancel_params import PaymentIntentCancelParams
from stripe.params._payment_intent_capture_params import PaymentIntentCaptureParams
from stripe.params._payment_intent_confirm_params import PaymentIntentConfirmParams
from stripe.params._payment_intent_create_params import PaymentIntentCreateParams
from stripe.params._payment_intent_list_params import PaymentIntentListParams
from stripe.params._payment_intent_retrieve_params import PaymentIntentRetrieveParams
from stripe.params._payment_method_attach_params import PaymentMethodAttachParams
from stripe.params._payment_method_retrieve_params import PaymentMethodRetrieveParams

from wattledger.sandbox import cards
from wattledger.sandbox.intents import Intents
from wattledger.sandbox.listed import Row, one


def table(intents: Intents) -> list[Row]:
    """What we stand in for."""
    return [
        ("POST", "customers", CustomerCreateParams, cards.create_customer),
        ("GET", "customers/{id}", CustomerRetrieveParams, one("customer")),
        ("GET", "payment_methods/{id}", PaymentMethodRetrieveParams, cards.retrieve_method),
        ("POST", "payment_methods/{id}/attach", PaymentMethodAttachParams, cards.attach),
        ("POST", "payment_intents", PaymentIntentCreateParams, intents.create),
        ("GET", "payment_intents", PaymentIntentListParams, intents.list),
        ("GET", "payment_intents/{id}", PaymentIntentRetrieveParams, intents.retrieve),
        ("POST", "payment_intents/{id}/confirm", PaymentIntentConfirmParams, intents.confirm),
        ("POST", "payment_intents/{id}/capture", PaymentIntentCaptureParams, intents.capture),
        ("POST", "payment_intents/{id}/cancel", PaymentIntentCancelParams, intents.cancel),
    ]
