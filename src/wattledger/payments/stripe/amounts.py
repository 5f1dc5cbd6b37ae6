"""Amounts as Stripe says them. Ours are in the smallest unit of ISO 4217; Stripe's mostly too.

Where they differ (docs.stripe.com/currencies, special cases): ISK and UGX have no decimals and are
said with two, which are zeros; MGA has two and is said with none; amounts in currencies of three
decimals are asked for with a zero at the end. HUF and TWD are odd only in payouts made by hand.
"""

from __future__ import annotations

from wattledger.errors import BadInput

_NO_DECIMALS = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "PYG", "RWF", "VND", "VUV", "XAF", "XOF",
     "XPF")
)  # fmt: skip
_TWO_ZEROS_MORE = frozenset({"ISK", "UGX"})
_TWO_ZEROS_LESS = frozenset({"MGA"})
_THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# What Stripe charges in with two decimals, as ISO 4217 has it.
_TWO_DECIMALS = frozenset({
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT",
    "BGN", "BMD", "BND", "BOB", "BRL", "BSD", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CNY",
    "COP", "CRC", "CVE", "CZK", "DKK", "DOP", "DZD", "EGP", "ETB", "EUR", "FJD", "FKP", "GBP",
    "GEL", "GIP", "GMD", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "JMD",
    "KES", "KGS", "KHR", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MKD",
    "MMK", "MNT", "MOP", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK",
    "NPR", "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB", "SAR",
    "SBD", "SCR", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "STD", "SZL", "THB", "TJS", "TOP",
    "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "UYU", "UZS", "WST", "XCD", "XCG", "YER", "ZAR",
    "ZMW",
})  # fmt: skip
KNOWN = _NO_DECIMALS | _TWO_ZEROS_MORE | _TWO_ZEROS_LESS | _THREE_DECIMALS | _TWO_DECIMALS

# The least that a charge can be (docs.stripe.com/currencies, minimum and maximum charge amounts),
# in our smallest units. Whether it holds for a capture of less than was held is not documented:
# those are tried. A currency that is not listed is known by its refusal only.
_LEAST = {
    "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1_500, "DKK": 250,
    "EUR": 50, "GBP": 30, "HKD": 400, "HUF": 17_500, "INR": 50, "JPY": 50, "MXN": 1_000,
    "MYR": 200, "NOK": 300, "NZD": 50, "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50,
    "THB": 1_000, "USD": 50,
}  # fmt: skip


def least_minor(currency: str) -> int:
    """The least that can be charged."""
    return _LEAST.get(currency, step_minor(currency))


def step_minor(currency: str) -> int:
    """The amounts that can be asked for are the multiples of this, in our smallest units."""
    if currency in _THREE_DECIMALS:
        return 10
    return 100 if currency in _TWO_ZEROS_LESS else 1


def to_stripe(amount_minor: int, currency: str) -> int:
    """The amount to ask Stripe for. Raises BadInput when it can't be said exactly."""
    _require_known(currency)
    if amount_minor % step_minor(currency):
        expected = f"a multiple of {step_minor(currency)}: Stripe takes no other in {currency}"
        raise BadInput("amount_minor", amount_minor, expected)
    if currency in _TWO_ZEROS_LESS:
        return amount_minor // 100
    return amount_minor * 100 if currency in _TWO_ZEROS_MORE else amount_minor


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's amount in our smallest unit. Raises BadInput when it is finer than that."""
    _require_known(currency)
    if currency in _TWO_ZEROS_LESS:
        return amount * 100
    if currency not in _TWO_ZEROS_MORE:
        return amount
    if amount % 100:
        raise BadInput("amount", amount, f"whole {currency}, said with two zeros at the end")
    return amount // 100


def at_most(amount: int, currency: str) -> int:
    """Stripe's amount in our smallest unit, of what is only a bound: rounded down where it is finer
    than we can say."""
    return from_stripe(amount - amount % (100 if currency in _TWO_ZEROS_MORE else 1), currency)


def _require_known(currency: str) -> None:
    if currency not in KNOWN:
        raise BadInput("currency", currency, "a currency that Stripe charges in")
