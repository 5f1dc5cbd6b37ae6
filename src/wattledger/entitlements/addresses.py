"""Addresses in parts, for those who do not take them as lines: Stripe's locations of card readers.

What each country needs is Stripe's (docs.stripe.com/terminal/fleet/locations-and-zones); where that
says nothing, a line and the country.
"""

from __future__ import annotations

import re

from wattledger.errors import BadInput
from wattledger.section import Section

_COUNTRY = re.compile(r"[A-Z]{2}")
_TEXT_MAX = 200
_IN_STATES = ("line1", "city", "state", "postal_code")
_IN_TOWNS = ("line1", "city", "postal_code")
_NEEDED = {
    **dict.fromkeys(("AU", "CA", "ES", "US"), _IN_STATES),
    **dict.fromkeys(("AT", "BE", "DE", "DK", "FR", "GB", "NL", "NZ", "SE"), _IN_TOWNS),
    **dict.fromkeys(("IE", "SG"), ("line1", "postal_code")),
}
_TOWN_FIRST = frozenset({"AU", "CA", "GB", "IE", "NZ", "SG", "US"})


class PostalAddress(Section, frozen=True):
    """Where a site is, in parts."""

    country: str
    """``US``: two capital letters (ISO 3166-1)."""
    line1: str
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    """``CA``: the region's own code, where the country has one (ISO 3166-2)."""
    postal_code: str | None = None

    @property
    def parts(self) -> dict[str, str]:
        """What is said of it, by name."""
        return {name: text for name in self.__struct_fields__ if (text := getattr(self, name))}

    @property
    def lines(self) -> tuple[str, ...]:
        """As it stands on a letter of its country."""
        region = " ".join(filter(None, (self.state, self.postal_code)))
        town = ", ".join(filter(None, (self.city, region)))
        if self.country not in _TOWN_FIRST:
            town = " ".join(filter(None, (self.postal_code, self.city)))
        return tuple(filter(None, (self.line1, self.line2, town)))


def check_postal(path: str, address: PostalAddress | None) -> None:
    """Raises BadInput for an address that its country's post would not know."""
    if address is None:
        return
    if not _COUNTRY.fullmatch(address.country):
        raise BadInput(f"{path}.country", address.country, "two capital letters: US, DE")
    for name in _NEEDED.get(address.country, ("line1",)):
        if not (getattr(address, name) or "").strip():
            raise BadInput(f"{path}.{name}", None, f"one: addresses in {address.country} have it")
    for name, text in address.parts.items():
        if len(text) > _TEXT_MAX or not text.isprintable():
            expected = f"{_TEXT_MAX} printable characters at most"
            raise BadInput(f"{path}.{name}", text[:40], expected)
