"""The demo: real sessions become money that adds up, in front of your eyes.

Starts the sandbox, ``wattledger serve`` and the charge points as processes of their own,
replays the sample, then compares what each of them says.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from wattledger.clock import utc_text
from wattledger.demo import report as reporting
from wattledger.demo import setup, workspace
from wattledger.demo.evidence import collect
from wattledger.demo.paying import Prepared, Processor
from wattledger.demo.plan import Plan, make_plan
from wattledger.demo.processes import Child, Children, free_ports, read_lines
from wattledger.errors import ConfigError, ExternalFault

STRIPE_WEBHOOK_PATH = f"/v1/webhooks/stripe/{setup.PROCESSOR}"
_START_TIMEOUT_S = 120
_SILENCE_S = 300
_SERVE = "import sys; from wattledger.cli.main import main; sys.exit(main())"


def run(*, sessions: int, data_dir: Path | None, stay: bool, as_json: bool) -> int:
    """Run the demo; 0 when every identity holds, else 1, with which of them did not on stderr.

    Wipes ``data_dir`` (default ``.wattledger/demo``) first. With ``stay`` the page is left up
    until Ctrl-C. Raises ConfigError for a directory or a number that can't be used, and
    ExternalFault when a process of the demo dies.
    """
    began = time.monotonic()
    _need_extras()
    console = Console(stderr=True, quiet=as_json)
    plan = make_plan(sessions, datetime.now().astimezone().date())
    with _ended_by_signals(), workspace.fresh(data_dir or workspace.DEFAULT) as home:
        environment = os.environ | setup.draw_secrets() | {"PYTHONUNBUFFERED": "1"}
        ports = setup.Ports(*free_ports(3))
        with Children(home, environment) as children:
            console.print("Starting the database, the server and the sandbox …")
            prepared = _start_servers(children, plan, ports, home, environment)
            plan = msgspec.structs.replace(plan, readers=dict(prepared.readers))
            chargers, record = _replay(children, plan, ports, home, console)
            result, found = collect(plan, record, ports, environment)
            result["seconds"] = round(time.monotonic() - began, 1)
            code = _tell(result, found, record["errors"], as_json)
            if stay:
                _stay(children, chargers, ports, console)
    return code


def _need_extras() -> None:
    missing = [name for name in ("ocpp", "standardwebhooks") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the demo needs {' and '.join(missing)}: pip install 'wattledger[demo,embedded]'"
        )


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP leave as Ctrl-C does, so that the children are stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: object) -> NoReturn:
        for again in before:  # once is enough: the clean-up is not to be interrupted
            signal.signal(again, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    # A shell that runs us in the background has it ignored.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_servers(
    children: Children, plan: Plan, ports: setup.Ports, home: Path, environment: dict[str, str]
) -> Prepared:
    config = home / "wattledger.toml"
    now = utc_text(plan.starts_at)
    sandbox = children.start(
        "sandbox",
        [
            *(sys.executable, "-m", "wattledger.sandbox", "--port", str(ports.sandbox)),
            *("--stripe-webhook-url", f"{ports.http_url}{STRIPE_WEBHOOK_PATH}"),
            *("--stripe-webhook-secret-env", setup.STRIPE_WEBHOOK_ENV),
            *("--receiver-secret-env", setup.RECEIVER_ENV, "--now", now),
        ],
    )
    sandbox.ready(_START_TIMEOUT_S)
    prepared = _prepare(plan, ports, environment)
    setup.write_config(config, plan, ports, environment, home / workspace.DATABASE, prepared)
    server = children.start(
        "server",
        [
            *(sys.executable, "-c", _SERVE, "serve", "--config", str(config)),
            *("--json-ready", "--business-time", now),
        ],
    )
    server.ready(_START_TIMEOUT_S)
    return prepared


def _prepare(plan: Plan, ports: setup.Ports, environment: dict[str, str]) -> Prepared:
    """What stands at the processor before we come: saved cards, registered readers."""
    sites = sorted({p.site_id for p in plan.posts if not p.external})
    with httpx.Client(timeout=60, trust_env=False) as http:
        processor = Processor(ports.sandbox_url, environment[setup.STRIPE_KEY_ENV], http)
        return processor.prepare(setup.accounts_of(plan), sites)


def _replay(
    children: Children, plan: Plan, ports: setup.Ports, home: Path, console: Console
) -> tuple[Child, dict[str, Any]]:
    """Run the charge points to their end; the process and its own record of it."""
    file = home / "plan.json"
    plan = msgspec.structs.replace(
        plan, ocpp_url=ports.ocpp_url, http_url=ports.http_url, sandbox_url=ports.sandbox_url
    )
    file.write_bytes(msgspec.json.encode(plan))
    chargers = children.start(
        "chargers", [sys.executable, "-m", "wattledger.demo.chargers", str(file)]
    )
    lines: list[dict[str, Any]] = []

    def take(line: dict[str, Any], advance: Callable[[dict[str, Any]], None]) -> None:
        if line.get("finished"):
            lines.append(line)
        elif "done" in line:
            advance(line)

    with _progress(console, len(plan.sessions)) as advance:
        read_lines(chargers, children, lambda line: take(line, advance), _SILENCE_S)
    if chargers.wait(_START_TIMEOUT_S) != 0 or not lines:
        children.check(but=chargers)  # a dead server says more than those who miss it
        raise ExternalFault(f"{chargers.died()}\n{children.tails(but=chargers)}")
    return chargers, lines[0]


@contextlib.contextmanager
def _progress(console: Console, count: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar on a terminal; elsewhere a line for each tenth."""
    if console.quiet or not console.is_terminal:
        told = 0

        def tell(line: dict[str, Any]) -> None:
            nonlocal told
            tenth = line["done"] * 10 // count
            if tenth > told:
                told = tenth
                console.print(f"{line['done']} of {count} sessions, business time {line['now']}")

        yield tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Sessions", total=count)

        def move(line: dict[str, Any]) -> None:
            at = datetime.fromisoformat(line["now"]).astimezone(UTC)
            bar.update(task, completed=line["done"], description=f"{at:%a %d %b %H:%M} UTC")

        yield move


def _tell(
    result: dict[str, Any],
    found: Sequence[reporting.Identity],
    errors: Sequence[str],
    as_json: bool,
) -> int:
    """Print the result on stdout and what does not hold on stderr; the exit code."""
    broken = [identity for identity in found if not identity.holds]
    if as_json:
        checks = [identity.as_json() | {"holds": identity.holds} for identity in found]
        print(json.dumps(result | {"checks": checks, "errors": list(errors)}), flush=True)
    else:
        reporting.show(result, found, Console())
    for identity in broken:
        print(f"does not hold: {identity.names()}: {identity.figures()}", file=sys.stderr)
    for error in errors:
        print(f"went wrong: {error}", file=sys.stderr)
    return 1 if broken or errors else 0


def _stay(children: Children, chargers: Child, ports: setup.Ports, console: Console) -> None:
    """Leave the page up until Ctrl-C, or until a server dies."""
    with contextlib.suppress(KeyboardInterrupt):
        console.print(
            f"\nThe page is at {ports.http_url}/ until you press Ctrl-C.", highlight=False
        )
        while True:
            time.sleep(0.5)
            children.check(but=chargers)
