"""Payment terminals: where they stand, which EVSEs they serve, and who takes the money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from wattledger.entitlements.model import Account, Entity, Plan, Site
from wattledger.errors import BadInput
from wattledger.section import Section, check_ids, check_known

STRIPE = "stripe"
Mode = Literal["we_capture", "we_send", "vendor_captures"]
Evse = tuple[str, int | None]
_TOKEN_MAX = 36


class Terminal(Section, frozen=True):
    """A card terminal of a site. ``provider`` is ``stripe`` or a [[terminal_vendor]]."""

    id: str
    site: str
    provider: str
    serves: tuple[str, ...]
    """``CP1`` (each connector) or ``CP1/2``."""
    reader: str | None = None
    """The provider's own name for it: Stripe's ``tmr_…``."""
    tokens: tuple[str, ...] = ()
    """The idTags that charge points send of everybody who pays here."""
    attended: bool = False
    """Whether somebody stands beside it."""
    mode: Mode = "we_capture"
    """Who takes the money once the price is known: we at the processor, the vendor when we tell it
    the amount, or the vendor by itself."""
    before_s: Annotated[int, msgspec.Meta(ge=0, le=3_600)] = 300
    """A card is read at most so long before its session starts …"""
    after_s: Annotated[int, msgspec.Meta(ge=0, le=3_600)] = 120
    """… or after."""

    @property
    def evses(self) -> tuple[Evse, ...]:
        """What it serves; connector None: each of the charge point."""
        return tuple(evse(each) for each in self.serves)

    def at(self, charge_point_id: str, connector_id: int | None) -> bool:
        """Whether it serves this EVSE. A connector that is not known yet may be served."""
        return any(
            point == charge_point_id and (connector_id is None or connector in (None, connector_id))
            for point, connector in self.evses
        )


class TerminalVendor(Section, frozen=True):
    """Whoever runs terminals that are not Stripe's: how its payments come in, and final amounts
    go out. ``http`` is told at ``url``, ``file`` in ``directory``."""

    id: str
    entity: str
    kind: Literal["http", "file"]
    url: str | None = None
    secret_env: str | None = None
    """What both sides sign with."""
    directory: str | None = None
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=300)] = 20


class Configuration(Protocol):
    """What of a configuration is looked at here."""

    @property
    def entity(self) -> Sequence[Entity]: ...
    @property
    def site(self) -> Sequence[Site]: ...
    @property
    def plan(self) -> Sequence[Plan]: ...
    @property
    def account(self) -> Sequence[Account]: ...
    @property
    def terminal(self) -> Sequence[Terminal]: ...
    @property
    def terminal_vendor(self) -> Sequence[TerminalVendor]: ...


def evse(text: str) -> Evse:
    """``CP1`` or ``CP1/2``. Raises ValueError for what is neither."""
    point, slash, connector = text.partition("/")
    if not slash:
        return point, None
    if not connector.isascii() or not connector.isdecimal() or int(connector) < 1:
        raise ValueError(text)
    return point, int(connector)


def check_terminals(config: Configuration) -> None:
    """Raises BadInput with the path of the first thing that can't be meant."""
    check_ids("$.terminal", [terminal.id for terminal in config.terminal])
    check_ids("$.terminal_vendor", [vendor.id for vendor in config.terminal_vendor])
    for i, vendor in enumerate(config.terminal_vendor):
        _check_vendor(config, f"$.terminal_vendor[{i}]", vendor)
    readers: set[tuple[str, str]] = set()
    for i, terminal in enumerate(config.terminal):
        _check_terminal(config, f"$.terminal[{i}]", terminal)
        if terminal.reader is not None:
            mine = (terminal.provider, terminal.reader)
            if mine in readers:
                raise BadInput(f"$.terminal[{i}].reader", terminal.reader, "a reader of its own")
            readers.add(mine)
    _check_tokens(config)


def _check_vendor(config: Configuration, path: str, vendor: TerminalVendor) -> None:
    if vendor.id == STRIPE:
        raise BadInput(f"{path}.id", vendor.id, "another id: this is what Stripe's readers name")
    check_known(f"{path}.entity", vendor.entity, {e.id for e in config.entity}, "entity")
    if vendor.kind == "http":
        address = urlsplit(vendor.url or "")
        if address.scheme not in ("http", "https") or not address.hostname:
            raise BadInput(f"{path}.url", vendor.url, "where it is told: https://…")
        if vendor.secret_env is None:
            raise BadInput(f"{path}.secret_env", None, "the name of an environment variable")
    elif vendor.url is not None:
        raise BadInput(f"{path}.url", vendor.url, 'nothing here: its kind is "file"')


def _check_terminal(config: Configuration, path: str, terminal: Terminal) -> None:
    check_known(f"{path}.site", terminal.site, {site.id for site in config.site}, "site")
    site = next(site for site in config.site if site.id == terminal.site)
    if terminal.provider == STRIPE:
        _check_stripe(path, terminal, site)
    else:
        vendors = {vendor.id: vendor for vendor in config.terminal_vendor}
        check_known(f"{path}.provider", terminal.provider, {STRIPE, *vendors}, "terminal_vendor")
        vendor = vendors[terminal.provider]
        if vendor.entity != site.entity:
            raise BadInput(
                f"{path}.provider", terminal.provider, f"a terminal_vendor of {site.entity!r}"
            )
        if terminal.mode == "we_capture":
            raise BadInput(f"{path}.mode", terminal.mode, "we_send or vendor_captures")
        if terminal.mode == "we_send" and vendor.kind == "file" and vendor.directory is None:
            raise BadInput(
                f"{path}.mode", terminal.mode, "a vendor with a directory, where it finds amounts"
            )
    _check_serves(path, terminal, site)


def _check_stripe(path: str, terminal: Terminal, site: Site) -> None:
    if terminal.reader is None:
        raise BadInput(f"{path}.reader", None, "the reader's id: tmr_…")
    if terminal.mode != "we_capture":
        raise BadInput(f"{path}.mode", terminal.mode, "we_capture: it is our own Stripe account")
    if site.processor is None:
        raise BadInput(f"{path}.provider", STRIPE, "another: its site has no processor")


def _check_serves(path: str, terminal: Terminal, site: Site) -> None:
    if not terminal.serves:
        raise BadInput(f"{path}.serves", [], "at least one charge point")
    points = {point.id: point.connectors for point in site.charge_points}
    for i, text in enumerate(terminal.serves):
        where = f"{path}.serves[{i}]"
        try:
            point, connector = evse(text)
        except ValueError:
            raise BadInput(where, text, "a charge point, or one of its connectors: CP1/2") from None
        check_known(where, point, set(points), f"charge point of site {site.id!r}")
        if connector is not None and connector > points[point]:
            raise BadInput(where, text, f"a connector up to {points[point]}")


def _check_tokens(config: Configuration) -> None:
    owners = {token.casefold(): a.id for a in config.account for token in a.tokens}
    sites: dict[str, str] = {}
    guests = [plan for plan in config.plan if plan.ad_hoc]
    at = {site.id: site for site in config.site}
    for i, terminal in enumerate(config.terminal):
        if terminal.tokens and at[terminal.site].ad_hoc_plan is None and len(guests) != 1:
            expected = "a plan for guests: one that is ad_hoc, or its site's ad_hoc_plan"
            raise BadInput(f"$.terminal[{i}].tokens", list(terminal.tokens), expected)
        for j, token in enumerate(terminal.tokens):
            where = f"$.terminal[{i}].tokens[{j}]"
            if not 1 <= len(token) <= _TOKEN_MAX:
                raise BadInput(where, token, f"1 to {_TOKEN_MAX} characters")
            if token.casefold() in owners:
                owner = owners[token.casefold()]
                raise BadInput(where, token, f"a token that is not account {owner!r}'s")
            # The tag says only that a card was read somewhere; where, the charge point says. One
            # that two sites sent would be the tag of two legal entities one day.
            site = sites.setdefault(token.casefold(), terminal.site)
            if site != terminal.site:
                raise BadInput(where, token, f"a token that is not site {site!r}'s already")
