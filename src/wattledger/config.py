"""The operator's configuration file: strict, with errors that name the path.

``read`` parses and checks one ``wattledger.toml``; ``versions`` turns what must be remembered
(entities, sites, tariffs, plans, accounts, processors, targets) into immutable bodies for the
database. Secrets never stand in the file: it names environment variables.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from wattledger.accounting.model import Target, check_target
from wattledger.contract import Route
from wattledger.entitlements.addresses import check_postal
from wattledger.entitlements.checking import ROUTES, check_entitlements
from wattledger.entitlements.directory import (
    FEES,
    JURISDICTION,
    OFFERS,
    PAYMENTS,
    FeeList,
    OfferList,
    PaymentList,
)
from wattledger.entitlements.model import (
    Account,
    ChargePoint,
    Entity,
    Offer,
    PaymentRule,
    Plan,
    Policies,
    RouteFee,
    Site,
)
from wattledger.entitlements.payment_checks import check_payments
from wattledger.entitlements.terminals import Terminal, TerminalVendor, check_terminals
from wattledger.errors import BadInput, ConfigError
from wattledger.forwarded import LOOPBACK, network
from wattledger.payments.model import HoldStep, Processor, check_processor
from wattledger.receipts.settings import (
    MAIL,
    RECEIPTS,
    MailSettings,
    ReceiptSettings,
    check_address,
    check_mail,
    check_printed,
    check_receipts,
)
from wattledger.receipts.words import check_language
from wattledger.section import (
    Section,
    Version,
    bad_input,
    check_currency,
    check_ids,
    check_known,
    check_percent,
    check_zone,
)
from wattledger.tariffs import Tariff, read_tariff, to_body
from wattledger.tariffs.jurisdictions import Jurisdiction, Rules, of_sessions, read_jurisdictions

__all__ = [
    "Account",
    "ApiKey",
    "ChargePoint",
    "Config",
    "DatabaseSection",
    "Entity",
    "HoldStep",
    "Plan",
    "Policies",
    "Processor",
    "Server",
    "Site",
    "Target",
    "parse",
    "read",
    "versions",
]


Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]


class Server(Section, frozen=True):
    """Where we listen. Beyond loopback only when these say so."""

    host: str = "127.0.0.1"
    ocpp_port: Port = 8016
    http_port: Port = 8080
    clock: Literal["system", "driven"] = "system"
    clock_followers: tuple[str, ...] = ()
    frame_retention_days: Annotated[int, msgspec.Meta(ge=30, le=36_500)] = 90
    """Raw frames are evidence: the database itself keeps thirty days, whatever stands here."""
    page_password_env: str | None = None
    trusted_proxies: tuple[str, ...] = LOOPBACK
    """Addresses and networks whose ``X-Forwarded-For`` and ``Forwarded`` are believed."""
    ocpp_plain: bool = True
    """Whether charge points may connect without TLS, at ``ocpp_port``."""
    ocpp_tls_port: Port | None = None
    ocpp_tls_cert: str | None = None
    """PEM files, beside the configuration; read again when they change."""
    ocpp_tls_key: str | None = None
    ocpp_frame_max_bytes: Annotated[int, msgspec.Meta(ge=4096, le=16 * 1024 * 1024)] = 256 * 1024
    ocpp_frames_per_s: Count = 50
    ocpp_frames_per_s_in_all: Count = 10_000
    ocpp_over_rate_s: Seconds = 300
    ocpp_connections_max: Count = 10_000
    ocpp_handshakes_max: Count = 64
    ocpp_handshake_wait_s: Seconds = 10
    ocpp_failures_per_minute: Count = 30
    ocpp_ping_s: Seconds = 60
    ocpp_pong_s: Seconds = 20


class DatabaseSection(Section, frozen=True):
    """Nothing set: the embedded server, its data beside the file."""

    data_dir: str = ".wattledger/data"
    dsn_env: str | None = None
    owner_dsn_env: str | None = None
    reader_dsn_env: str | None = None


Scope = Literal[
    "sessions:read", "sessions:write", "authorizations:write", "anomalies:write", "commands:write",
    "starts:write",
    "payments:read", "payments:write", "refunds:write", "refunds:approve", "clock",
]  # fmt: skip


class ApiKey(Section, frozen=True):
    """A key of our API: the secret from the environment, what it may do from here."""

    name: str
    key_env: str
    scopes: tuple[Scope, ...]


class Config(Section, frozen=True):
    """The whole file."""

    server: Server = Server()
    database: DatabaseSection = DatabaseSection()
    policies: Policies = Policies()
    entity: tuple[Entity, ...] = ()
    site: tuple[Site, ...] = ()
    plan: tuple[Plan, ...] = ()
    account: tuple[Account, ...] = ()
    processor: tuple[Processor, ...] = ()
    target: tuple[Target, ...] = ()
    api_key: tuple[ApiKey, ...] = ()
    tariff: tuple[Tariff, ...] = ()
    jurisdiction: tuple[Jurisdiction, ...] = ()
    """The operator's own rules, beside those we ship."""
    offer: tuple[Offer, ...] = ()
    """Which tariff for whom: the first that matches."""
    fee: tuple[RouteFee, ...] = ()
    """What ways of paying add."""
    payment: tuple[PaymentRule, ...] = ()
    """How money is collected, and how much is held: the first that matches."""
    receipts: ReceiptSettings = ReceiptSettings()
    mail: MailSettings | None = None
    """The server that receipts are sent by; none: none are."""
    terminal: tuple[Terminal, ...] = ()
    terminal_vendor: tuple[TerminalVendor, ...] = ()


def read(path: Path) -> Config:
    """The configuration in ``path``. Raises ConfigError with the path and what was expected."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `wattledger init` writes one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    try:
        return parse(raw)
    except (BadInput, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from None


def parse(raw: Mapping[str, Any]) -> Config:
    """The configuration of a parsed file, checked across its sections."""
    rest = dict(raw)
    tariffs = rest.pop("tariff", [])
    if not isinstance(tariffs, list):
        raise BadInput("$.tariff", tariffs, "a list of [[tariff]] tables")
    jurisdictions = read_jurisdictions(rest.pop("jurisdiction", []))
    try:
        config = msgspec.convert(rest, Config)
    except msgspec.ValidationError as error:
        raise bad_input(error, Config) from None
    read_tariffs = tuple(read_tariff(t, f"$.tariff[{i}]") for i, t in enumerate(tariffs))
    config = msgspec.structs.replace(config, tariff=read_tariffs, jurisdiction=jurisdictions)
    _check(config)
    return config


def versions(config: Config) -> list[Version]:
    """What the database must remember, in a stable order."""
    found = [Version("policies", "policies", msgspec.to_builtins(config.policies))]
    found += [Version("tariff", t.id, to_body(t)) for t in config.tariff]
    kinds = ("entity", "site", "plan", "account", "processor", "target", "terminal",
             "terminal_vendor")  # fmt: skip
    for kind in kinds:
        rows: Iterable[Any] = getattr(config, kind)
        found += [Version(kind, row.id, msgspec.to_builtins(row)) for row in rows]
    if config.offer:
        found.append(Version(OFFERS, OFFERS, msgspec.to_builtins(OfferList(config.offer))))
    if config.fee:
        found.append(Version(FEES, FEES, msgspec.to_builtins(FeeList(config.fee))))
    if config.payment:
        found.append(Version(PAYMENTS, PAYMENTS, msgspec.to_builtins(PaymentList(config.payment))))
    if config.receipts != ReceiptSettings():
        found.append(Version(RECEIPTS, RECEIPTS, msgspec.to_builtins(config.receipts)))
    if config.mail is not None:
        found.append(Version(MAIL, MAIL, msgspec.to_builtins(config.mail)))
    for own in map(of_sessions, config.jurisdiction):
        if own.taxes or own.inherits or own.rules:
            found.append(Version(JURISDICTION, own.id, msgspec.to_builtins(own)))
    return sorted(found, key=lambda v: (v.kind, v.key))


def _check_exposure(config: Config) -> None:
    """Beyond loopback everybody has to say who they are."""
    host = config.server.host
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return
    if config.server.page_password_env is None:
        raise BadInput(
            "$.server.page_password_env",
            None,
            f"the name of an environment variable with the page's password: {host} is not loopback",
        )
    for i, site in enumerate(config.site):
        for j, point in enumerate(site.charge_points):
            if point.auth is None:
                raise BadInput(
                    f"$.site[{i}].charge_points[{j}].auth",
                    None,
                    f"what `wattledger hash-password` prints: {host} is not loopback",
                )


def _check_proxies(server: Server) -> None:
    for i, each in enumerate(server.trusted_proxies):
        try:
            network(each)
        except ValueError:
            expected = 'an address or a network, such as "10.0.0.5" or "10.0.0.0/8"'
            raise BadInput(f"$.server.trusted_proxies[{i}]", each, expected) from None


def _check_ocpp(server: Server) -> None:
    """A port that is on has what it needs."""
    if server.ocpp_tls_port is None:
        if not server.ocpp_plain:
            raise BadInput("$.server.ocpp_tls_port", None, "a port: ocpp_plain = false leaves none")
        return
    if server.ocpp_tls_cert is None or server.ocpp_tls_key is None:
        name = "ocpp_tls_cert" if server.ocpp_tls_cert is None else "ocpp_tls_key"
        raise BadInput(f"$.server.{name}", None, "a PEM file: ocpp_tls_port is set")
    if server.ocpp_plain and 0 != server.ocpp_tls_port == server.ocpp_port:
        raise BadInput(
            "$.server.ocpp_tls_port", server.ocpp_tls_port, "another port than ocpp_port"
        )


def _check(config: Config) -> None:
    _check_exposure(config)
    _check_ocpp(config.server)
    _check_proxies(config.server)
    ids = {
        kind: check_ids(f"$.{kind}", [row.id for row in getattr(config, kind)])
        for kind in ("entity", "site", "plan", "account", "processor", "target", "tariff")
    }
    check_ids("$.site.charge_points", [c.id for s in config.site for c in s.charge_points])
    for i, entity in enumerate(config.entity):
        check_zone(f"$.entity[{i}].time_zone", entity.time_zone)
        check_currency(f"$.entity[{i}].currency", entity.currency)
    for i, processor in enumerate(config.processor):
        path = f"$.processor[{i}]"
        check_known(f"{path}.entity", processor.entity, ids["entity"], "entity")
        check_processor(path, processor, _entity(config, processor.entity).currency)
    for i, site in enumerate(config.site):
        _check_site(config, ids, f"$.site[{i}]", site)
    for i, plan in enumerate(config.plan):
        check_percent(f"$.plan[{i}].discount_percent", plan.discount_percent)
        if plan.route not in ROUTES:
            expected = "one of " + ", ".join(sorted(ROUTES))
            raise BadInput(f"$.plan[{i}].route", str(plan.route), expected)
        for site_id, tariff_id in plan.tariffs.items():
            check_known(f"$.plan[{i}].tariffs", site_id, ids["site"], "site")
            path = f"$.plan[{i}].tariffs.{site_id}"
            check_known(path, tariff_id, ids["tariff"], "tariff")
            _check_currency(config, path, tariff_id, site_id)
    _check_accounts(config, ids)
    Rules(config.jurisdiction)
    check_entitlements(config)
    check_payments(config)
    check_receipts(config.receipts)
    _check_printed(config)
    if config.mail is not None:
        check_mail(config.mail)
    check_terminals(config)
    for i, target in enumerate(config.target):
        check_known(f"$.target[{i}].entity", target.entity, ids["entity"], "entity")
        check_target(f"$.target[{i}]", target)


def _check_printed(config: Config) -> None:
    """What the operator writes on receipts, so that they can always be printed."""
    for i, entity in enumerate(config.entity):
        for name in ("name", "receipt_note", "support"):
            check_printed(f"$.entity[{i}].{name}", getattr(entity, name))
        for j, tax_id in enumerate(entity.tax_ids):
            check_printed(f"$.entity[{i}].tax_ids[{j}]", tax_id)
        check_address(f"$.entity[{i}].address", entity.address)
        check_language(f"$.entity[{i}].language", entity.language)
    for i, site in enumerate(config.site):
        check_printed(f"$.site[{i}].name", site.name)
        check_address(f"$.site[{i}].address", site.address)
        check_postal(f"$.site[{i}].postal_address", site.postal_address)
        check_language(f"$.site[{i}].language", site.language)


def _check_site(config: Config, ids: dict[str, set[str]], path: str, site: Site) -> None:
    check_known(f"{path}.entity", site.entity, ids["entity"], "entity")
    check_known(f"{path}.tariff", site.tariff, ids["tariff"], "tariff")
    check_zone(f"{path}.time_zone", site.time_zone)
    check_percent(f"{path}.tax_percent", site.tax_percent)
    _check_currency(config, f"{path}.tariff", site.tariff, site.id)
    if site.processor is not None:
        check_known(f"{path}.processor", site.processor, ids["processor"], "processor")
        owner = next(p.entity for p in config.processor if p.id == site.processor)
        if owner != site.entity:
            raise BadInput(
                f"{path}.processor", site.processor, f"a processor account of {site.entity!r}"
            )
    for i, point in enumerate(site.charge_points):
        if point.power_w <= 0:
            raise BadInput(f"{path}.charge_points[{i}].power_w", point.power_w, "a positive power")


def _check_currency(config: Config, path: str, tariff_id: str, site_id: str) -> None:
    """A tariff is in the currency of the entity whose site it is used at."""
    site = next(s for s in config.site if s.id == site_id)
    currency = _entity(config, site.entity).currency
    tariff = next(t for t in config.tariff if t.id == tariff_id)
    if tariff.currency != currency:
        raise BadInput(path, tariff.currency, f"a tariff in {currency}")


def _check_accounts(config: Config, ids: dict[str, set[str]]) -> None:
    routes = {plan.id: plan.route for plan in config.plan}
    owner_of: dict[str, str] = {}
    for i, account in enumerate(config.account):
        path = f"$.account[{i}]"
        check_known(f"{path}.plan", account.plan, ids["plan"], "plan")
        if routes[account.plan] is Route.CARD and not account.payment_method:
            raise BadInput(f"{path}.payment_method", None, "one: the account's plan pays by card")
        for token in account.tokens:
            if not 1 <= len(token) <= 36:
                raise BadInput(f"{path}.tokens", token, "1 to 36 characters")
            # OCPP compares idTags without regard to case (CiString, 1.6 §7.28).
            owner = owner_of.setdefault(token.casefold(), account.id)
            if owner != account.id:
                raise BadInput(f"{path}.tokens", token, f"a token that is not {owner!r}'s already")


def _entity(config: Config, entity_id: str) -> Entity:
    return next(e for e in config.entity if e.id == entity_id)
