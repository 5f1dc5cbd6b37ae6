"""Whose request it is behind proxies of ours: by ``X-Forwarded-For`` and ``Forwarded``.

Each proxy writes down, at the right end, who asked it. So the list is read from the right, and only
as long as our own proxies wrote it; what stands further left is the asker's word and worth nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.0/8", "::1/128")
_HOPS_MAX = 32
_PORT = re.compile(r"[0-9]{1,5}|_[A-Za-z0-9._-]{1,64}")
_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')

Headers = Iterable[tuple[bytes, bytes]]


def network(text: str) -> IPv4Network | IPv6Network:
    """An address or a network. Raises ValueError, also where a network has bits of a host."""
    return ip_network(text)


class Proxies:
    """Those whose word counts."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = tuple(network(each) for each in trusted)

    def trusts(self, address: str) -> bool:
        """Whether it is one of ours."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in each for each in self._trusted)

    def whose(self, peer: str, headers: Headers) -> str:
        """The right-most address that is no proxy of ours.

        A header that can't be read, and two that say differently, are not believed: the request is
        then its proxy's, as it is without one. So nobody escapes a limit by writing nonsense.
        """
        peer = _plain(peer) or peer
        if not self.trusts(peer):
            return peer
        found = [
            self._client(peer, hops)
            for hops in (_x_forwarded_for(headers), _forwarded(headers))
            if hops is not None
        ]
        return found[0] if found and len(set(found)) == 1 else peer

    def _client(self, peer: str, hops: list[str | None]) -> str:
        nearest = peer
        for hop in hops[: -_HOPS_MAX - 1 : -1]:
            if hop is None:
                return peer
            nearest = hop
            if not self.trusts(hop):
                break
        return nearest


class Forwarded:
    """Around an application: ``client`` is whoever asks, ``scheme`` how they came to our proxy."""

    def __init__(self, app: ASGIApp, trusted: Iterable[str] = LOOPBACK) -> None:
        self._app = app
        self._proxies = Proxies(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if scope["type"] == "http" and peer is not None and self._proxies.trusts(peer[0]):
            scope = {**scope, "client": (self._proxies.whose(peer[0], scope["headers"]), 0)}
            said = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
            if said and said[-1].strip() in (b"http", b"https"):
                scope["scheme"] = said[-1].strip().decode()
        await self._app(scope, receive, send)


def _x_forwarded_for(headers: Headers) -> list[str | None] | None:
    """Its addresses from left to right over all headers of that name; None for one that is none."""
    text = _joined(headers, b"x-forwarded-for")
    return None if text is None else [_address(each.strip()) for each in text.split(",")]


def _forwarded(headers: Headers) -> list[str | None] | None:
    """The same of RFC 7239's ``for=``. Its ``unknown`` and made-up names are no address."""
    text = _joined(headers, b"forwarded")
    if text is None:
        return None
    hops: list[str | None] = []
    at, here = 0, None
    while at <= len(text):
        pair = _PAIR.match(text, at)
        end = pair.end() if pair else at
        follows = text[end : end + 1]
        if pair is None or follows not in (";", ",", ""):
            return [None]
        name, value = pair.group(1).lower(), pair.group(2)
        if name == "for":
            here = _address(re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' else value)
        if follows != ";":
            hops.append(here)
            here = None
        at = end + 1
    return hops


def _joined(headers: Headers, wanted: bytes) -> str | None:
    found = [value.decode("latin-1") for name, value in headers if name.lower() == wanted]
    return ",".join(found) if found else None


def _address(text: str) -> str | None:
    """``192.0.2.1``, ``192.0.2.1:4711``, ``2001:db8::1`` or ``[2001:db8::1]:4711``."""
    host, port = text, ""
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            return None
        if port and not _PORT.fullmatch(port[1:]):
            return None
        found = _plain(host)
        return found if ":" in host else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        if not _PORT.fullmatch(port):
            return None
    return _plain(host)


def _plain(text: str) -> str | None:
    """One form for each address, so that it is one address for a limit, too."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return None
        return str(found.ipv4_mapped or found)
    return str(found)
