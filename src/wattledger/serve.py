"""``wattledger serve``: gateway, API, page and worker in one event loop, or a part of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import uvicorn
from starlette.routing import Mount, Route

from wattledger.accounting.model import Target
from wattledger.accounting.webhook import WebhookGate
from wattledger.api.app import make_app
from wattledger.api.keys import Keys
from wattledger.api.state import State
from wattledger.clock import Clock, DrivenClock, SystemClock
from wattledger.conductor import Conductor, Followers, keeping, nothing
from wattledger.config import Config, Server
from wattledger.db.connect import Database, Pool
from wattledger.db.effects import Effect
from wattledger.db.roles import Role
from wattledger.db.work import Checkpoint, Work, no_checkpoint
from wattledger.entitlements.publication import in_words
from wattledger.entitlements.terminals import TerminalVendor
from wattledger.errors import ConfigError, DatabaseFault, ExternalFault
from wattledger.forwarded import Forwarded
from wattledger.gateway.limits import Limits
from wattledger.gateway.server import Gateway
from wattledger.gateway.tls import Certificate
from wattledger.ingest.journal import Journal
from wattledger.installation import apply, objections, opened, secret
from wattledger.payments.model import Processor
from wattledger.payments.stripe.client import StripeGate, pacing_of
from wattledger.payments.stripe.pacing import Pacing
from wattledger.payments.terminal.vendor import vendor_gate
from wattledger.pipeline.billing import receipts_step
from wattledger.pipeline.returning import evidence_files
from wattledger.pipeline.settle import ensure_schedule
from wattledger.pipeline.stations import upkeep
from wattledger.pipeline.world import World
from wattledger.receipts.links import checked
from wattledger.slow import Impatient, InTime
from wattledger.web import Live, page_routes
from wattledger.web.driver import Driver
from wattledger.worker import Gate, Worker

log = logging.getLogger(__name__)

G = TypeVar("G", bound=Gate)

ROLES = ("gateway", "api", "worker")
_LISTEN_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    config: Path
    roles: frozenset[str] = frozenset(ROLES)
    business_time: datetime | None = None
    checkpoint: Checkpoint = no_checkpoint


class AllGates:
    """Every way out of this process: processors, targets, and the charge points that are here.

    Made when first needed, and again when the configuration they were made from has changed. Which
    gate an effect goes through is said by the first word of its kind, one line each in ``_find``.
    """

    def __init__(
        self, world: World, gateway: Gateway | None, http: httpx.AsyncClient, base: Path = Path()
    ) -> None:
        self._world = world
        self._base = base
        self._gateway = gateway
        self._http = http
        self._made: dict[tuple[str, str], Gate] = {}
        self._pacings: dict[tuple[str, int, int], Pacing] = {}
        self._find: dict[str, Callable[[Effect], Awaitable[Gate | None]]] = {
            "ocpp": self._point,
            "stripe": self._processor,
            "webhook": self._target,
            "mail": self._mail,
            "vendor": self._vendor,
        }

    def lanes(self) -> list[str]:
        """Lanes of the charge points connected here."""
        return self._gateway.lanes() if self._gateway else []

    async def gate(self, effect: Effect) -> Gate | None:
        """The gate of this effect, by its kind and its subject."""
        find = self._find.get(effect.kind.partition(".")[0])
        return await find(effect) if find is not None else None

    async def stripe(self, processor_id: str) -> StripeGate | None:
        """A processor's account; None when nothing of that name is configured."""
        snapshot = await self._world.snapshot(self._world.now)
        processor = snapshot.get("processor", processor_id, Processor)
        digest = snapshot.digest("processor", processor_id)
        if processor is None or digest is None:
            return None
        load = evidence_files.loader(self._world.work.pool)
        return self._keep(
            "stripe", digest, lambda: StripeGate(processor, secret, self._turns(processor), load)
        )

    def _turns(self, processor: Processor) -> Pacing:
        """The turns at an account outlive a gate: a new configuration gives no second helping."""
        pacing = pacing_of(processor, secret(processor.api_key_env))
        return self._pacings.setdefault((processor.id, *pacing.rates), pacing)

    async def _vendor(self, effect: Effect) -> Gate | None:
        """A terminal's vendor, over HTTP or by files beside the configuration."""
        snapshot = await self._world.snapshot(self._world.now)
        vendor_id = str(effect.request["vendor_id"])
        vendor = snapshot.get("terminal_vendor", vendor_id, TerminalVendor)
        digest = snapshot.digest("terminal_vendor", vendor_id)
        if vendor is None or digest is None:
            return None
        return self._keep(
            "vendor", digest, lambda: vendor_gate(vendor, secret, self._http, self._base)
        )

    async def _point(self, effect: Effect) -> Gate | None:
        return self._gateway

    async def _processor(self, effect: Effect) -> Gate | None:
        return await self.stripe(str(effect.request["processor_id"]))

    async def _mail(self, effect: Effect) -> Gate | None:
        snapshot = await self._world.snapshot(self._world.now)
        made = receipts_step.mail_gate(self._world, snapshot, secret)
        return self._keep("mail", *made) if made is not None else None

    async def _target(self, effect: Effect) -> Gate | None:
        snapshot = await self._world.snapshot(self._world.now)
        target = snapshot.get("target", effect.subject, Target)
        digest = snapshot.digest("target", effect.subject)
        if target is None or digest is None:
            return None
        return self._keep("hook", digest, lambda: WebhookGate(target, secret, self._http))

    def _keep(self, kind: str, digest: str, make: Callable[[], G]) -> G:
        if (kind, digest) not in self._made:
            self._made[kind, digest] = make()
        return cast("G", self._made[kind, digest])


async def _publish(config: Config, database: Database, now: datetime) -> None:
    changes = await apply(config, database, now)
    log.info("configuration: %d changes", len(changes))
    for objection in objections(config, now):
        log.warning("%s", in_words(objection))


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[dict[str, int]]:
    """Everything up; the ports it listens on. Down again, in order, at the end."""
    async with AsyncExitStack() as stack:
        config, database = await stack.enter_async_context(opened(options.config))
        _check_secrets(config)
        app_pool = await stack.enter_async_context(await database.open_pool(Role.APP, 4, 20))
        clock = await _clock(config, options, app_pool)
        await _publish(config, database, clock.now())
        directory_pool = await database.open_pool(Role.APP, 1, 1)
        await stack.enter_async_context(directory_pool)
        world = World(Work(app_pool, clock, options.checkpoint), directory_pool)
        world.receipt_link = partial(receipts_step.link_of, config.receipts, secret)
        await world.refresh()
        journal = await stack.enter_async_context(
            Journal(app_pool, config.server.frame_retention_days)
        )
        here = "gateway" in options.roles
        gateway = Gateway(world, journal, Limits.of(config.server)) if here else None
        http = await stack.enter_async_context(httpx.AsyncClient())
        gates = AllGates(world, gateway, http, options.config.parent)
        outside = "worker" in options.roles
        if outside:
            await ensure_schedule(world)
        worker = Worker(
            world,
            gates,
            lambda: database.connect(Role.APP),
            options.checkpoint,
            outside=outside,
        )
        await worker.begin()
        stack.push_async_callback(worker.end)
        conductor = None
        if isinstance(clock, DrivenClock):
            follow = Followers(config.server.clock_followers, http)
            advance = keeping(clock, world.work, gateway.settle if gateway else nothing)
            conductor = Conductor(worker, advance, clock.now, follow.to)
        else:
            await stack.enter_async_context(_background(worker.run(), "worker"))
        listening = _listen(database, world, worker, plans=outside)
        await stack.enter_async_context(_background(listening, "listen"))
        ports: dict[str, int] = {}
        if gateway is not None:
            stack.push_async_callback(gateway.end)
            ports |= await _begin(gateway, config.server, options.config.parent)
        if "api" in options.roles:
            reader = await stack.enter_async_context(await database.open_pool(Role.READER, 2, 8))
            live = await stack.enter_async_context(Live(database.conninfo(Role.READER)))
            state = State(
                world, reader, Keys(config.api_key, secret), secret, worker.wake, conductor
            )
            password = config.server.page_password_env
            app = make_app(
                state,
                _pages(state, live, _ocpp_url(config, ports), config.receipts.link_secret_env),
                secret(password) if password else None,
            )
            ports["http_port"] = await stack.enter_async_context(_http(app, config))
            stack.callback(live.close)
        yield ports


async def serve(options: Options, ready: Callable[[dict[str, int]], None]) -> None:
    """Run until SIGINT or SIGTERM; ``ready`` hears the ports when everything listens."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    async with running(options) as ports:
        ready(ports)
        await stopped.wait()
        log.info("stopping")


async def _clock(config: Config, options: Options, pool: Pool) -> Clock:
    """The machine's clock, or a driven one that goes on from where it stood."""
    if config.server.clock == "system":
        return SystemClock()
    if options.roles != frozenset(ROLES):
        raise ConfigError(
            'server.clock = "driven" needs all roles in one process: leave --role out'
        )
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT now FROM driven_clock")
        row = await cursor.fetchone()
    start: datetime | None = row["now"] if row else options.business_time
    if start is None:
        raise ConfigError('server.clock = "driven" needs --business-time at its first start')
    return DrivenClock(start)


async def _listen(database: Database, world: World, worker: Worker, *, plans: bool) -> None:
    """Hear of new configuration and new effects; on a lost connection, connect again.

    Whoever listens notices first that the database is gone: an embedded one is started again.
    """
    while True:
        try:
            async with await database.connect(Role.APP) as conn:
                await conn.execute("LISTEN wattledger_config")
                await conn.execute("LISTEN wattledger_effect")
                if plans:
                    await upkeep.changed(world)  # what was applied while nobody listened
                async for notice in conn.notifies():
                    if notice.channel == "wattledger_effect":
                        worker.hear(notice.payload)
                        continue
                    await world.refresh()
                    if plans:
                        await ensure_schedule(world)
                        await upkeep.changed(world)
                    worker.wake()
        except Exception as error:  # whatever it was, we must go on hearing
            log.warning("lost the database's notices, connecting again: %s", error)
            await asyncio.sleep(_LISTEN_RETRY_S)
            with contextlib.suppress(DatabaseFault):  # the next round says why
                await asyncio.to_thread(database.revive)


async def _begin(gateway: Gateway, server: Server, beside: Path) -> dict[str, int]:
    """Listen for charge points; the ports by their settings' names."""
    certificate = None
    if server.ocpp_tls_cert is not None and server.ocpp_tls_key is not None:
        certificate = Certificate(beside / server.ocpp_tls_cert, beside / server.ocpp_tls_key)
    port = server.ocpp_port if server.ocpp_plain else None
    plain, secure = await gateway.begin(server.host, port, server.ocpp_tls_port, certificate)
    found = {"ocpp_port": plain, "ocpp_tls_port": secure}
    return {name: number for name, number in found.items() if number is not None}


@asynccontextmanager
async def _background(coroutine: Any, name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine, name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _http(app: Any, config: Config) -> AsyncIterator[int]:
    host, port = config.server.host, config.server.http_port
    try:
        listener = socket.create_server((host, port), backlog=512)
    except OSError as error:
        raise ExternalFault(
            f"can't listen for HTTP on {host}:{port}: {error.strerror}; set server.http_port"
        ) from None
    app = InTime(Forwarded(app, config.server.trusted_proxies))
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", proxy_headers=False,
        http=Impatient, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(settings)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve([listener]), name="http")
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.01)
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _pages(
    state: State, live: Live, ocpp_url: str | None, receipts_by: str | None
) -> list[Route | Mount]:
    """The drivers' page behind the QR codes, and the pages, that may decide as the API may."""
    world, wake = state.world, state.wake
    driver = Driver(world, state.reader, secret, wake, receipts_by).routes()
    clock = world.work.clock
    pages = page_routes(
        state.reader, clock, live, ocpp_url=ocpp_url, world=world, wake=wake, secrets=secret
    )
    return [*driver, *pages]


def _ocpp_url(config: Config, ports: dict[str, int]) -> str:
    """What the first page tells a charge point to connect to."""
    if "ocpp_port" not in ports and "ocpp_tls_port" in ports:
        return f"wss://{config.server.host}:{ports['ocpp_tls_port']}/ocpp/<charge point id>"
    port = ports.get("ocpp_port", config.server.ocpp_port)
    return f"ws://{config.server.host}:{port}/ocpp/<charge point id>"


def _check_secrets(config: Config) -> None:
    """Every secret that the configuration names is there: better now than at the first charge."""
    named = [config.server.page_password_env, config.mail and config.mail.password_env]
    for processor in config.processor:
        named += [processor.api_key_env, processor.webhook_secret_env]
        named.append(processor.publishable_key_env)
    named += [target.secret_env for target in config.target]
    named += [vendor.secret_env for vendor in config.terminal_vendor]
    named += [key.key_env for key in config.api_key]
    named += [name for site in config.site for name in site.proxy_secrets]
    for name in named:
        if name:
            secret(name)
    if config.receipts.link_secret_env:
        checked(secret(config.receipts.link_secret_env), config.receipts.link_secret_env)
