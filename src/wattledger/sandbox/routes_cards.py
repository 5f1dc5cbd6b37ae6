"""Stripe's URLs about customers, cards, SetupIntents and PaymentIntents."""

from __future__ import annotations

from stripe.params._charge_search_params import ChargeSearchParams
from stripe.params._customer_create_params import CustomerCreateParams
from stripe.params._customer_delete_params import CustomerDeleteParams
from stripe.params._customer_list_params import CustomerListParams
from stripe.params._customer_payment_method_list_params import CustomerPaymentMethodListParams
from stripe.params._customer_retrieve_params import CustomerRetrieveParams
from stripe.params._customer_search_params import CustomerSearchParams
from stripe.params._customer_update_params import CustomerUpdateParams
from stripe.params._payment_intent_cancel_params import PaymentIntentCancelParams
from stripe.params._payment_intent_capture_params import PaymentIntentCaptureParams
from stripe.params._payment_intent_confirm_params import PaymentIntentConfirmParams
from stripe.params._payment_intent_create_params import PaymentIntentCreateParams
from stripe.params._payment_intent_increment_authorization_params import (
    PaymentIntentIncrementAuthorizationParams,
)
from stripe.params._payment_intent_list_params import PaymentIntentListParams
from stripe.params._payment_intent_retrieve_params import PaymentIntentRetrieveParams
from stripe.params._payment_intent_search_params import PaymentIntentSearchParams
from stripe.params._payment_intent_update_params import PaymentIntentUpdateParams
from stripe.params._payment_method_attach_params import PaymentMethodAttachParams
from stripe.params._payment_method_create_params import PaymentMethodCreateParams
from stripe.params._payment_method_detach_params import PaymentMethodDetachParams
from stripe.params._payment_method_list_params import PaymentMethodListParams
from stripe.params._payment_method_retrieve_params import PaymentMethodRetrieveParams
from stripe.params._payment_method_update_params import PaymentMethodUpdateParams
from stripe.params._setup_intent_cancel_params import SetupIntentCancelParams
from stripe.params._setup_intent_confirm_params import SetupIntentConfirmParams
from stripe.params._setup_intent_create_params import SetupIntentCreateParams
from stripe.params._setup_intent_list_params import SetupIntentListParams
from stripe.params._setup_intent_retrieve_params import SetupIntentRetrieveParams

from wattledger.sandbox import cards, customers
from wattledger.sandbox.intents import Intents
from wattledger.sandbox.listed import Row, newest, one
from wattledger.sandbox.search import Index
from wattledger.sandbox.setups import Setups

BROWSER = frozenset(
    {
        "GET payment_intents/{id}",
        "POST payment_intents/{id}/confirm",
        "GET setup_intents/{id}",
        "POST setup_intents/{id}/confirm",
    }
)
"""What a publishable key may call, with the client secret of the object."""


def table(intents: Intents, setups: Setups, index: Index) -> list[Row]:
    """What we stand in for. Searches come before the objects whose ids they look like."""
    return [*_customers(index), *_methods(), *_setups(setups), *_intents(intents, index)]


def _customers(index: Index) -> list[Row]:
    search = index.searched("customer", "customers")
    return [
        ("GET", "customers/search", CustomerSearchParams, search),
        ("POST", "customers", CustomerCreateParams, customers.create),
        ("GET", "customers", CustomerListParams, newest("customer", "customers")),
        ("GET", "customers/{id}", CustomerRetrieveParams, customers.retrieve),
        ("POST", "customers/{id}", CustomerUpdateParams, customers.update),
        ("DELETE", "customers/{id}", CustomerDeleteParams, customers.delete),
        (
            "GET",
            "customers/{id}/payment_methods",
            CustomerPaymentMethodListParams,
            cards.listed,
        ),
    ]


def _methods() -> list[Row]:
    return [
        ("POST", "payment_methods", PaymentMethodCreateParams, cards.create),
        ("GET", "payment_methods", PaymentMethodListParams, cards.listed),
        ("GET", "payment_methods/{id}", PaymentMethodRetrieveParams, cards.retrieve),
        ("POST", "payment_methods/{id}", PaymentMethodUpdateParams, cards.update),
        ("POST", "payment_methods/{id}/attach", PaymentMethodAttachParams, cards.attach),
        ("POST", "payment_methods/{id}/detach", PaymentMethodDetachParams, cards.detach),
    ]


def _setups(setups: Setups) -> list[Row]:
    return [
        ("POST", "setup_intents", SetupIntentCreateParams, setups.create),
        ("GET", "setup_intents", SetupIntentListParams, newest("setup_intent", "setup_intents")),
        ("GET", "setup_intents/{id}", SetupIntentRetrieveParams, one("setup_intent")),
        ("POST", "setup_intents/{id}/confirm", SetupIntentConfirmParams, setups.confirm),
        ("POST", "setup_intents/{id}/cancel", SetupIntentCancelParams, setups.cancel),
    ]


def _intents(intents: Intents, index: Index) -> list[Row]:
    return [
        ("GET", "charges/search", ChargeSearchParams, index.searched("charge", "charges")),
        (
            "GET",
            "payment_intents/search",
            PaymentIntentSearchParams,
            index.searched("payment_intent", "payment_intents"),
        ),
        ("POST", "payment_intents", PaymentIntentCreateParams, intents.create),
        ("GET", "payment_intents", PaymentIntentListParams, intents.list),
        ("GET", "payment_intents/{id}", PaymentIntentRetrieveParams, intents.retrieve),
        ("POST", "payment_intents/{id}", PaymentIntentUpdateParams, intents.update),
        ("POST", "payment_intents/{id}/confirm", PaymentIntentConfirmParams, intents.confirm),
        ("POST", "payment_intents/{id}/capture", PaymentIntentCaptureParams, intents.capture),
        ("POST", "payment_intents/{id}/cancel", PaymentIntentCancelParams, intents.cancel),
        (
            "POST",
            "payment_intents/{id}/increment_authorization",
            PaymentIntentIncrementAuthorizationParams,
            intents.increment,
        ),
    ]
