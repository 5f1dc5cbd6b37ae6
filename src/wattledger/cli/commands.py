"""The commands: their arguments, their help, and the function that each runs."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path

from wattledger.cli import (
    frames_command,
    import_command,
    meter_commands,
    money_commands,
    pricing_commands,
    seen_commands,
    terminal_command,
)
from wattledger.cli.options import command, config_option, json_option
from wattledger.errors import BadInput
from wattledger.wire.numbers import parse_time


def add_all(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Every command, in the order in which a newcomer meets them."""
    _demo(commands)
    _init(commands)
    _apply(commands)
    _serve(commands)
    _verify(commands)
    _reconcile(commands)
    seen_commands.add_all(commands)
    money_commands.add_all(commands)
    frames_command.add(commands)
    import_command.add(commands)
    terminal_command.add(commands)
    pricing_commands.add_all(commands)
    meter_commands.add_all(commands)
    _hash_password(commands)


def _demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "demo", _run_demo,
        "replay real sessions through the whole system and show that the money adds up",
        "wattledger demo --sessions 200 --json",
    )  # fmt: skip
    parser.add_argument("--sessions", type=int, default=260, metavar="N",
                        help="how many session attempts to replay (default: 260)")  # fmt: skip
    parser.add_argument(
        "--data", type=Path, default=None, metavar="DIR",
        help="where its files go (default: .wattledger/demo); emptied first",
    )  # fmt: skip
    parser.add_argument("--stay", action="store_true",
                        help="leave the page up afterwards, until Ctrl-C")  # fmt: skip
    json_option(parser)


def _run_demo(options: argparse.Namespace) -> int:
    from wattledger.demo import run  # noqa: PLC0415  (its parts are not always installed)

    return int(
        run(
            sessions=options.sessions, data_dir=options.data, stay=options.stay,
            as_json=options.json,
        )
    )  # fmt: skip


def _init(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "init", _run_init, "write a commented configuration to start from",
        "wattledger init --config wattledger.toml",
    )  # fmt: skip
    config_option(parser)


def _run_init(options: argparse.Namespace) -> int:
    from wattledger.cli.starting import STARTING_FILE  # noqa: PLC0415

    try:
        with options.config.open("x", encoding="utf-8") as file:
            file.write(STARTING_FILE)
    except FileExistsError:
        raise BadInput(str(options.config), "a file", "no file there; ours never replaces one"
                       ) from None  # fmt: skip
    print(f"Wrote {options.config}. Next: edit it, then `wattledger apply`, `wattledger serve`.")
    return 0


def _apply(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "apply", _run_apply, "write the configuration into immutable versions",
        "wattledger apply --config wattledger.toml --valid-from 2026-12-01T00:00:00-08:00",
    )  # fmt: skip
    config_option(parser)
    parser.add_argument(
        "--valid-from", metavar="TIME",
        help="when it comes into force (default: now; the first: always)",
    )  # fmt: skip
    json_option(parser)


def _run_apply(options: argparse.Namespace) -> int:
    from wattledger.cli import running  # noqa: PLC0415

    at = parse_time(options.valid_from, "--valid-from") if options.valid_from else None
    return running.apply(options.config, at, as_json=options.json)


def _serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "serve", _run_serve, "run gateway, API, page and worker (or one of them)",
        "wattledger serve --config wattledger.toml --role gateway",
    )  # fmt: skip
    config_option(parser)
    parser.add_argument("--role", action="append", choices=("gateway", "api", "worker"),
                        help="run only this part; may be given more than once")  # fmt: skip
    parser.add_argument("--business-time", metavar="TIME",
                        help="where a driven clock starts (server.clock = \"driven\")")  # fmt: skip
    parser.add_argument(
        "--json-ready", action="store_true",
        help="print one JSON line with the ports when everything listens",
    )  # fmt: skip
    parser.add_argument("--log-level", default="info",
                        choices=("debug", "info", "warning", "error"))  # fmt: skip
    parser.add_argument("--kill-at", default=os.environ.get("WATTLEDGER_KILL_AT"),
                        help=argparse.SUPPRESS)  # fmt: skip


def _run_serve(options: argparse.Namespace) -> int:
    from wattledger.cli import running  # noqa: PLC0415

    at: datetime | None = None
    if options.business_time:
        at = parse_time(options.business_time, "--business-time")
    return running.serve(options, at)


def _verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "verify", _run_verify,
        "prove the ledger: sums, seals, every charge booked once; works with the server up or down",
        "wattledger verify --config wattledger.toml --json",
    )  # fmt: skip
    config_option(parser)
    json_option(parser)


def _run_verify(options: argparse.Namespace) -> int:
    from wattledger.cli import running  # noqa: PLC0415

    return running.verify(options.config, as_json=options.json)


def _reconcile(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "reconcile", _run_reconcile, "match everything now and list the breaks",
        "wattledger reconcile --json",
    )  # fmt: skip
    config_option(parser)
    json_option(parser)


def _run_reconcile(options: argparse.Namespace) -> int:
    from wattledger.cli import running  # noqa: PLC0415

    return running.reconcile(options.config, as_json=options.json)


def _hash_password(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command(
        commands, "hash-password", _run_hash_password,
        "hash a charge point's password (read from standard input) for the configuration",
        "head -c 20 /dev/urandom | base32 | wattledger hash-password",
    )  # fmt: skip


def _run_hash_password(options: argparse.Namespace) -> int:
    from wattledger.cli import running  # noqa: PLC0415

    return running.hash_password()
