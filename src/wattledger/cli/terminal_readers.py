"""``wattledger terminal readers``: what Stripe has, beside what the file says of it.

Read from Stripe and from the file alone, so it works before anything is applied.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Any

import msgspec

from wattledger import installation
from wattledger.cli.seen_text import console, plain
from wattledger.config import Config, read
from wattledger.entitlements.terminals import STRIPE, Terminal
from wattledger.errors import BadInput, ConfigError, WattledgerError
from wattledger.payments.model import Processor
from wattledger.payments.stripe.fleet import Fleet, Location, Reader
from wattledger.section import check_known

_DOING = {"process_payment_intent": "a payment", "set_reader_display": "a text"}


@dataclass
class Account:
    """A processor account: its readers, and what is wrong between it and the file."""

    processor: str
    readers: list[tuple[Reader, Location | None, Terminal | None]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    error: WattledgerError | None = None


def run(options: argparse.Namespace) -> int:
    """0; 1 where a [[terminal]] of the file can't work as it stands; 2 or 3 where an account could
    not be read."""
    config = read(options.config)
    accounts = asyncio.run(_read(config, _chosen(config, options.processor)))
    if options.json:
        print(json.dumps({"accounts": [_facts(account) for account in accounts]}))
    else:
        _show(accounts)
    for account in accounts:
        if account.error is not None:
            print(f"wattledger: {account.error}", file=sys.stderr)
    codes = [2 if isinstance(a.error, ConfigError) else 3 for a in accounts if a.error is not None]
    return max(codes, default=int(any(account.problems for account in accounts)))


def compared(
    config: Config, processor: Processor, readers: list[Reader], locations: list[Location]
) -> Account:
    """An account's readers beside the terminals of the sites whose payments go there."""
    at = {location.id: location for location in locations}
    sites = {site.id for site in config.site if site.processor == processor.id}
    mine = [t for t in config.terminal if t.provider == STRIPE and t.site in sites]
    found = Account(processor.id)
    for reader in readers:
        terminal = next((t for t in mine if t.reader == reader.id), None)
        location = at.get(reader.location_id or "")
        found.readers.append((reader, location, terminal))
        if terminal is not None:
            found.problems += _wrong(terminal, reader, location)
    known = {reader.id for reader in readers}
    found.problems += [
        f"[[terminal]] {terminal.id}: this account has no reader {terminal.reader}"
        for terminal in mine
        if terminal.reader not in known
    ]
    return found


def _wrong(terminal: Terminal, reader: Reader, location: Location | None) -> list[str]:
    """What of a terminal's reader is not as the file has it, or as it has to be."""
    which = f"[[terminal]] {terminal.id}: its reader {reader.id}"
    found = []
    if reader.status != "online":
        found.append(f"{which} is offline: nobody can pay there")
    if location is None:
        found.append(f"{which} stands at no location: Stripe takes no payment there")
        return found
    if location.site not in (None, terminal.site):
        found.append(f"{which} stands at the location of site {location.site}, not {terminal.site}")
    if location.unattended is terminal.attended:
        stands = "unattended" if location.unattended else "attended"
        says = str(terminal.attended).lower()
        found.append(f"{which} stands at an {stands} location, and the file says attended = {says}")
    return found


def _chosen(config: Config, processor_id: str | None) -> list[Processor]:
    if not config.processor:
        raise BadInput("$.processor", None, "a [[processor]]: readers belong to its account")
    if processor_id is None:
        return list(config.processor)
    check_known("--processor", processor_id, {p.id for p in config.processor}, "processor")
    return [p for p in config.processor if p.id == processor_id]


async def _read(config: Config, processors: list[Processor]) -> list[Account]:
    """Each on its own: one that can't be read hides no other."""
    return [await _account(config, processor) for processor in processors]


async def _account(config: Config, processor: Processor) -> Account:
    try:
        fleet = Fleet(processor, installation.secret)
        return compared(config, processor, await fleet.readers(), await fleet.locations())
    except WattledgerError as error:
        return Account(processor.id, error=error)


def _facts(account: Account) -> dict[str, Any]:
    return {
        "processor": account.processor,
        "readers": [
            {
                **facts(reader),
                "location": msgspec.to_builtins(location),
                "terminal": terminal and terminal.id,
            }
            for reader, location, terminal in account.readers
        ],
        "problems": account.problems,
        "error": str(account.error) if account.error else None,
    }


def facts(reader: Reader) -> dict[str, Any]:
    """A reader, without what is ours to find it back by."""
    found: dict[str, Any] = msgspec.to_builtins(reader)
    del found["registration"], found["location_id"]
    return found


def _show(accounts: list[Account]) -> None:
    out = console()
    for account in accounts:
        if account.error is not None:
            continue
        number = len(account.readers)
        out.print(f"processor {account.processor}: {number or 'no'} reader{'s' * (number != 1)}")
        for reader, location, terminal in account.readers:
            out.print(plain(f"  {reader.id}  {reader.label}, {reader.device_type},"
                            f" {reader.status or 'never seen'}{_seen(reader)}"))  # fmt: skip
            which = f"[[terminal]] {terminal.id}" if terminal else "no [[terminal]] has it"
            out.print(plain(f"    {which}; {_where(location)}; {_doing(reader)}"))
        for problem in account.problems:
            out.print(plain(f"  ! {problem}"), style="yellow")


def _seen(reader: Reader) -> str:
    return f", last seen {reader.last_seen_at}" if reader.last_seen_at else ""


def _where(location: Location | None) -> str:
    if location is None:
        return "at no location"
    kind = {True: ", unattended", False: ", attended", None: ""}[location.unattended]
    return f"at {location.name} ({location.id}{kind})"


def _doing(reader: Reader) -> str:
    action = reader.action
    if action is None:
        return "idle"
    what = _DOING.get(action["type"], action["type"])
    if action["intent_id"]:
        what += f" {action['intent_id']}"
    if action["status"] == "in_progress":
        return f"shows {what}"
    failed = f" ({action['failure_code']})" if action["failure_code"] else ""
    return f"idle, after {what}: {action['status']}{failed}"
