"""Whose request it is behind proxies: the right-most address that is none of ours."""

from __future__ import annotations

from typing import Any

import pytest

from wattledger.config import parse
from wattledger.errors import BadInput
from wattledger.forwarded import LOOPBACK, Forwarded, Proxies

PROXY = "10.0.0.7"
OURS = Proxies(["10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.250", *LOOPBACK])


def headers(name: str, *values: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for value in values]


@pytest.mark.parametrize(
    ("values", "whose"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9:50123"], "203.0.113.9"),
        (["2001:db8:1::9"], "2001:db8:1::9"),
        (["[2001:db8:1::9]:443"], "2001:db8:1::9"),
        (["[2001:db8:1::9]"], "2001:db8:1::9"),
        (["2001:DB8:1:0:0:0:0:9"], "2001:db8:1::9"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        # What the asker writes stands to the left of what our proxy writes.
        (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (["nonsense, \t, 203.0.113.9"], "203.0.113.9"),
        (["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        # Several proxies of ours, and several headers of that name: they are one list.
        (["203.0.113.9, 10.1.2.3, 192.0.2.250"], "203.0.113.9"),
        (["198.51.100.1", "203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        (["203.0.113.9, 2001:db8:ffff::1"], "203.0.113.9"),
        # All of them are ours: the first asker is a machine of ours.
        (["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(values: list[str], whose: str) -> None:
    assert OURS.whose(PROXY, headers("x-forwarded-for", *values)) == whose
    assert OURS.whose("203.0.113.200", headers("x-forwarded-for", *values)) == "203.0.113.200", (
        "whoever is no proxy of ours is not believed"
    )


@pytest.mark.parametrize(
    "value",
    ["", ",", "unknown", "203.0.113.9, ", "203.0.113.9, x", "203.0.113.999", "203.0.113.9:x",
     "203.0.113.9:", "203.0.113.9:123456", "[2001:db8::1", "[2001:db8::1]x", "[2001:db8::1]:",
     "[203.0.113.9]", "fe80::1%eth0", "203.0.113.9; drop", "203.0.113.9, \xb2", "0x7f.1",
     "203.0.113.9, x, 10.1.2.3"],
)  # fmt: skip
def test_what_is_no_address_is_not_believed(value: str) -> None:
    """The request is then its proxy's: all who write nonsense share one limit."""
    raw = [(b"x-forwarded-for", value.encode("latin-1"))]
    assert OURS.whose(PROXY, raw) == PROXY


@pytest.mark.parametrize(
    ("values", "whose"),
    [
        (["for=203.0.113.9"], "203.0.113.9"),
        (["For=203.0.113.9;proto=https;by=10.0.0.7"], "203.0.113.9"),
        (['for="203.0.113.9:50123"'], "203.0.113.9"),
        (['for="[2001:db8:1::9]:443"; host="a,b;for=1.2.3.4"'], "2001:db8:1::9"),
        (['for="\\2\\03.0.113.9"'], "203.0.113.9"),
        (["for=198.51.100.1, for=203.0.113.9, for=10.1.2.3"], "203.0.113.9"),
        (["for=198.51.100.1", "for=203.0.113.9"], "203.0.113.9"),
        (["for=203.0.113.9, proto=https"], PROXY),
        (["for=unknown"], PROXY),
        (["for=_hidden"], PROXY),
        (["for=203.0.113.9, for=unknown"], PROXY),
        (["for=203.0.113.9 for=198.51.100.1"], PROXY),
        (['for="203.0.113.9'], PROXY),
        (["203.0.113.9"], PROXY),
        (["for=203.0.113.9;"], PROXY),
        ([""], PROXY),
    ],
)
def test_forwarded_is_read_the_same_way(values: list[str], whose: str) -> None:
    assert OURS.whose(PROXY, headers("forwarded", *values)) == whose


def test_two_headers_count_where_they_say_the_same() -> None:
    """A proxy writes one of them; the other may be the asker's own."""
    told = headers("x-forwarded-for", "203.0.113.9")
    assert OURS.whose(PROXY, told + headers("forwarded", "for=203.0.113.9")) == "203.0.113.9"
    assert OURS.whose(PROXY, told + headers("forwarded", "for=198.51.100.1")) == PROXY


def test_a_header_without_end_is_not_read_to_its_end() -> None:
    long = ", ".join(["10.0.0.1"] * 5_000)
    assert OURS.whose(PROXY, headers("x-forwarded-for", f"203.0.113.9, {long}")) == "10.0.0.1"


async def _seen(peer: str, *given: tuple[bytes, bytes]) -> tuple[str, str]:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    scope = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": list(given)}
    await Forwarded(app)(scope, None, None)  # type: ignore[arg-type]
    return seen["client"][0], seen["scheme"]


async def test_by_default_loopback_alone_is_believed() -> None:
    given = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")]
    assert await _seen("127.0.0.1", *given) == ("203.0.113.9", "https")
    assert await _seen("::1", *given) == ("203.0.113.9", "https")
    assert await _seen("10.0.0.7", *given) == ("10.0.0.7", "http")
    assert await _seen("127.0.0.1", (b"x-forwarded-proto", b"ws, https")) == ("127.0.0.1", "http")


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "proxy.internal", "*", "", "10.0.0.0/33"])
def test_a_proxy_is_an_address_or_a_network(wrong: str) -> None:
    assert parse({"server": {"trusted_proxies": ["10.0.0.0/8", "2001:db8::1"]}})
    with pytest.raises(BadInput, match="trusted_proxies"):
        parse({"server": {"trusted_proxies": ["10.0.0.0/8", wrong]}})
