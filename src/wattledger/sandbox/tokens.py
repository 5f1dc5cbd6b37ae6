"""Stripe's documented test cards: which tokens there are, and what each of them does.

The table is docs.stripe.com/testing and the test cards of the pages on incremental and
partial authorization. What a card does is told by a ``TestCard``; doing it is the matter of
``attempts`` (declines, authentication), ``features`` (windows, overcapture, increments) and
of the balance (disputes, warnings, refunds, the pending balance passed by).
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class TestCard:
    """A card behind a test token.

    ``code`` and ``decline_code`` say how a charge is declined. ``authentication`` is when
    the cardholder is asked: ``always``; ``unless_set_up`` (on session always, off session
    until the card is set up); ``on_session`` (off session it passes as set up before);
    ``on_request`` (when the request asks for 3D Secure); ``never``.
    """

    brand: str
    number: str
    funding: str = "credit"
    country: str = "US"
    code: str | None = None
    decline_code: str | None = None
    attaches: bool = True
    authentication: str = "on_request"
    risk: str = "normal"
    blocked: bool = False
    fails_checks: tuple[str, ...] = ()
    disputes: tuple[str, ...] = ()
    """The reasons it is disputed for once money is taken; ``inquiry`` is a warning first."""
    warns: bool = False
    """An early fraud warning follows the charge."""
    refund: str = "succeeds"
    """``succeeds``, ``pending`` (succeeds later) or ``fails`` (seems to succeed, then fails)."""
    bypasses_pending: bool = False
    enterprise: bool = True
    """Overcapture and the like are possible for it."""
    increments: bool = True
    partial_percent: int = 100
    """What the issuer approves where a partial authorization is asked for; else it declines."""
    partial_increment_percent: int = 100

    @property
    def last4(self) -> str:
        return self.number[-4:]


def _visa(number: str, **more: object) -> TestCard:
    return TestCard("visa", number, **more)  # type: ignore[arg-type]


def _declining(number: str, decline_code: str, code: str = "card_declined") -> TestCard:
    return TestCard("visa", number, code=code, decline_code=decline_code, attaches=False)


_PLAIN = {
    "visa": _visa("4242424242424242"),
    "visa_debit": _visa("4000056655665556", funding="debit"),
    "mastercard": TestCard("mastercard", "5555555555554444"),
    "mastercard_debit": TestCard("mastercard", "5200828282828210", "debit"),
    "mastercard_prepaid": TestCard("mastercard", "5105105105105100", "prepaid"),
    "amex": TestCard("amex", "378282246310005", authentication="never"),
    "discover": TestCard("discover", "6011111111111117"),
    "diners": TestCard("diners", "3056930009020004"),
    "jcb": TestCard("jcb", "3566002020360505"),
    "unionpay": TestCard("unionpay", "6200000000000005"),
    # Issued elsewhere; they succeed without authentication.
    "us": _visa("4242424242424242"),
    "gb": _visa("4000008260000000", country="GB"),
    "gb_debit": _visa("4000058260000005", country="GB", funding="debit"),
    "de": _visa("4000002760000016", country="DE"),
    "fr": _visa("4000002500000003", country="FR"),
    "nl": _visa("4000005280000002", country="NL"),
    "ca": _visa("4000001240000000", country="CA"),
    "au": _visa("4000000360000006", country="AU"),
    "jp": _visa("4000003920000003", country="JP"),
    "mx": _visa("4000004840008001", country="MX"),
}
_GENERIC = _declining("4000000000000002", "generic_decline")
_NO_FUNDS = _declining("4000000000009995", "insufficient_funds")
_LOST = _declining("4000000000009987", "lost_card")
_STOLEN = _declining("4000000000009979", "stolen_card")
_RADAR = _visa(
    "4100000000000019",
    code="card_declined",
    decline_code="fraudulent",
    risk="highest",
    blocked=True,
)
_DECLINES = {
    # The documentation of today names the network in some, the older one did not.
    "chargeDeclined": _GENERIC,
    "visa_chargeDeclined": _GENERIC,
    "chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "visa_chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "chargeDeclinedLostCard": _LOST,
    "visa_chargeDeclinedLostCard": _LOST,
    "chargeDeclinedStolenCard": _STOLEN,
    "visa_chargeDeclinedStolenCard": _STOLEN,
    "chargeDeclinedFraudulent": replace(_RADAR, attaches=False),
    "chargeDeclinedExpiredCard": _declining("4000000000000069", "expired_card", "expired_card"),
    "chargeDeclinedIncorrectCvc": _declining("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
    "chargeDeclinedProcessingError": _declining(
        "4000000000000119", "processing_error", "processing_error"
    ),
    "visa_chargeDeclinedVelocityLimitExceeded": _declining(
        "4000000000006975", "card_velocity_exceeded"
    ),
    # The cards that can be saved and are declined only when they are charged.
    "chargeCustomerFail": _visa(
        "4000000000000341", code="card_declined", decline_code="generic_decline"
    ),
    "radarBlock": _RADAR,
}
_RISKS = {
    "riskLevelHighest": _visa("4000000000004954", risk="highest"),
    "riskLevelElevated": _visa("4000000000009235", risk="elevated"),
    "cvcCheckFail": _visa("4000000000000101", fails_checks=("cvc_check",)),
    "avsZipFail": _visa("4000000000000036", fails_checks=("address_postal_code_check",)),
    "avsLine1Fail": _visa("4000000000000028", fails_checks=("address_line1_check",)),
    "avsFail": _visa(
        "4000000000000010", fails_checks=("address_line1_check", "address_postal_code_check")
    ),
}
_AUTHENTICATED = {
    "authenticationRequired": _visa("4000002760003184", country="DE", authentication="always"),
    "authenticationRequiredOnSetup": _visa(
        "4000002500003155", country="FR", authentication="unless_set_up"
    ),
    "authenticationRequiredSetupForOffSession": _visa(
        "4000003800000446", country="IT", authentication="on_session"
    ),
    "authenticationRequiredChargeDeclinedInsufficientFunds": _visa(
        "4000008260003178",
        country="GB",
        authentication="always",
        code="card_declined",
        decline_code="insufficient_funds",
    ),
    "threeDSecure2Required": _visa("4000000000003220", country="IE", authentication="always"),
    "threeDSecureRequiredChargeDeclined": _visa(
        "4000008400001629",
        authentication="always",
        code="card_declined",
        decline_code="generic_decline",
    ),
    "threeDSecureOptional": _visa("4000000000003055"),
    "amex_threeDSecureNotSupported": TestCard("amex", "378282246310005", authentication="never"),
}
_AFTERWARDS = {
    "createDispute": _visa("4000000000000259", disputes=("fraudulent",)),
    "createDisputeProductNotReceived": _visa(
        "4000000000002685", disputes=("product_not_received",)
    ),
    "createDisputeInquiry": _visa("4000000000001976", disputes=("inquiry",)),
    "createMultipleDisputes": _visa(
        "4000000404000079", disputes=("product_not_received", "fraudulent")
    ),
    "createIssuerFraudRecord": _visa("4000000000005423", warns=True),
    "pendingRefund": _visa("4000000000007726", refund="pending"),
    "refundFail": _visa("4000000000005126", refund="fails"),
    "bypassPending": _visa("4000000000000077", bypasses_pending=True),
    "bypassPendingInternational": _visa("4000003720000278", country="IE", bypasses_pending=True),
}
_FLEXIBLE = {
    "debit_incrementalAuthAuthorized": _visa("4000058400000063", funding="debit"),
    "credit_disableEnterpriseCardFeatures": _visa(
        "4000008400000076", enterprise=False, increments=False
    ),
    "debit_partialAuthorization": _visa("4000058400000071", funding="debit", partial_percent=70),
    "debit_partialIncrement": _visa(
        "4000058400000816", funding="debit", partial_increment_percent=70
    ),
}

TEST_CARDS: dict[str, TestCard] = {
    f"pm_card_{name}": card
    for table in (_PLAIN, _DECLINES, _RISKS, _AUTHENTICATED, _AFTERWARDS, _FLEXIBLE)
    for name, card in table.items()
}
_BY_NUMBER: dict[str, str] = {}
for _token, _card in TEST_CARDS.items():
    # The first token of a number names it: the plainest stands first in the tables.
    _BY_NUMBER.setdefault(_card.number, _token)


def token_of(name: str) -> str | None:
    """The ``pm_card_…`` token of ``name``: itself, its old ``tok_…``, or the card's number."""
    if name in TEST_CARDS:
        return name
    if name.startswith("tok_"):
        token = f"pm_card_{name.removeprefix('tok_')}"
        return token if token in TEST_CARDS else None
    return _BY_NUMBER.get(name)


def by_number(number: str) -> TestCard | None:
    """The test card with that number: how a simulated reader names the card presented."""
    token = _BY_NUMBER.get(number)
    return TEST_CARDS[token] if token else None
