"""Stripe's URLs about readers, where they stand, and the cards held to simulated ones."""

from __future__ import annotations

from stripe.params.terminal._location_create_params import LocationCreateParams
from stripe.params.terminal._location_list_params import LocationListParams
from stripe.params.terminal._location_retrieve_params import LocationRetrieveParams
from stripe.params.terminal._location_update_params import LocationUpdateParams
from stripe.params.terminal._reader_cancel_action_params import ReaderCancelActionParams
from stripe.params.terminal._reader_create_params import ReaderCreateParams
from stripe.params.terminal._reader_delete_params import ReaderDeleteParams
from stripe.params.terminal._reader_list_params import ReaderListParams
from stripe.params.terminal._reader_process_payment_intent_params import (
    ReaderProcessPaymentIntentParams,
)
from stripe.params.terminal._reader_retrieve_params import ReaderRetrieveParams
from stripe.params.terminal._reader_set_reader_display_params import ReaderSetReaderDisplayParams
from stripe.params.terminal._reader_update_params import ReaderUpdateParams
from stripe.params.test_helpers.terminal._reader_present_payment_method_params import (
    ReaderPresentPaymentMethodParams,
)

from wattledger.sandbox import fleet
from wattledger.sandbox.listed import Row, newest, one
from wattledger.sandbox.terminal import Terminal


def table(terminal: Terminal) -> list[Row]:
    """What we stand in for."""
    locations, readers = "terminal/locations", "terminal/readers"
    return [
        ("POST", locations, LocationCreateParams, fleet.create_location),
        ("GET", locations, LocationListParams, newest("terminal.location", locations)),
        ("GET", f"{locations}/{{id}}", LocationRetrieveParams, one("terminal.location")),
        ("POST", f"{locations}/{{id}}", LocationUpdateParams, fleet.update_location),
        ("POST", readers, ReaderCreateParams, fleet.create_reader),
        ("GET", readers, ReaderListParams, terminal.list),
        ("GET", f"{readers}/{{id}}", ReaderRetrieveParams, terminal.retrieve),
        ("POST", f"{readers}/{{id}}", ReaderUpdateParams, fleet.update_reader),
        ("DELETE", f"{readers}/{{id}}", ReaderDeleteParams, fleet.delete_reader),
        (
            "POST",
            f"{readers}/{{id}}/process_payment_intent",
            ReaderProcessPaymentIntentParams,
            terminal.process,
        ),
        ("POST", f"{readers}/{{id}}/cancel_action", ReaderCancelActionParams, terminal.cancel),
        (
            "POST",
            f"{readers}/{{id}}/set_reader_display",
            ReaderSetReaderDisplayParams,
            terminal.display,
        ),
        (
            "POST",
            f"test_helpers/{readers}/{{id}}/present_payment_method",
            ReaderPresentPaymentMethodParams,
            terminal.present,
        ),
    ]
