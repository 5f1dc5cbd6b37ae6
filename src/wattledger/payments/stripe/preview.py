"""What Stripe takes in previews of its API only, and with which version it is asked for.

A call that asks for nothing of it goes out with the version of the installed SDK, as all others do.
The previews' versions are named by the same dates: that of the SDK's own is taken. When Stripe
makes one of these parameters general, it moves from here to where the others are made.

``request_partial_authorization``: docs.stripe.com/payments/partial-authorization has it, the SDK's
declarations do not. ``attended_type``, ``unattended`` of a location: see ``fleet``.
"""

from __future__ import annotations

from typing import Any

import stripe

VERSION = stripe.api_version.partition(".")[0] + ".preview"
_OF_A_CARD = frozenset({"request_partial_authorization"})
_OF_A_LOCATION = frozenset({"attended_type", "unattended"})


def options(params: dict[str, Any]) -> dict[str, str]:
    """The call's options: the preview's version, where ``params`` ask for something of it."""
    card = params.get("payment_method_options", {}).get("card", {})
    early = _OF_A_CARD & card.keys() or _OF_A_LOCATION & params.keys()
    return {"stripe_version": VERSION} if early else {}
