"""``wattledger terminal register``: a reader, and where it stands, made at Stripe.

The file is never edited: what belongs into it is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from wattledger import installation
from wattledger.cli.terminal_readers import facts
from wattledger.config import Config, read
from wattledger.entitlements.model import Site
from wattledger.entitlements.terminals import STRIPE, Terminal
from wattledger.errors import BadInput
from wattledger.payments.model import Processor
from wattledger.payments.stripe.fleet import Fleet, Location, Reader, Wanted
from wattledger.section import check_known

_TEXT_MAX = 100
_ADDRESS = ('one, for the location at Stripe: { line1 = "1 Main St", city = "Oakland",'
            ' state = "CA", postal_code = "94607", country = "US" }')  # fmt: skip
_UNATTENDED_DEVICE = "ux700"


def run(options: argparse.Namespace) -> int:
    """``wattledger terminal register``"""
    config = read(options.config)
    check_known("--site", options.site, {site.id for site in config.site}, "site")
    number, site = next((i, s) for i, s in enumerate(config.site) if s.id == options.site)
    processor = _processor(config, site, options.processor)
    label = site.name if options.label is None else options.label.strip()
    code = options.code.strip()
    for name, text in (("--code", code), ("--label", label)):
        if not 1 <= len(text) <= _TEXT_MAX or not text.isprintable():
            raise BadInput(name, text, f"1 to {_TEXT_MAX} printable characters")
    wanted = Wanted(site.id, site.name, code, label, options.unattended, site.postal_address)
    with _named(f"$.site[{number}]", code):
        location, made, reader, registered = asyncio.run(
            _register(Fleet(processor, installation.secret), wanted)
        )
    block = _block(config, site, reader, options.unattended, label)
    notes = list(_notes(config, site, processor, reader, options))
    if options.json:
        print(json.dumps({
            "location": {**msgspec.to_builtins(location), "made": made},
            "reader": {**facts(reader), "registered": registered},
            "terminal": block, "notes": notes,
        }))  # fmt: skip
        return 0
    print(f"location {location.id} ({location.name}): {'made' if made else 'was there'}")
    print(f"reader   {reader.id} ({reader.device_type}, {reader.status or 'never seen'}):"
          f" {'registered' if registered else 'was registered before'}")  # fmt: skip
    for note in notes:
        print(f"note: {note}")
    if block is not None:
        print(f"\nInto {options.config}, then `wattledger apply`:\n\n{block}")
    return 0


async def _register(fleet: Fleet, wanted: Wanted) -> tuple[Location, bool, Reader, bool]:
    location, made = await fleet.location_for(wanted)
    reader, registered = await fleet.register(wanted, location)
    return location, made, reader, registered


def _processor(config: Config, site: Site, given: str | None) -> Processor:
    """The account where the site's payments go: only its readers can take them."""
    known = {p.id: p for p in config.processor if p.entity == site.entity}
    if given is None and site.processor is None:
        expected = f"an account of {site.entity!r}: site {site.id!r} has no processor"
        raise BadInput("--processor", None, expected)
    if given is not None:
        check_known("--processor", given, set(known), f"processor of entity {site.entity!r}")
        if site.processor not in (None, given):
            raise BadInput("--processor", given, f"{site.processor}, where the site's payments go")
    return known[given or site.processor or ""]


@contextmanager
def _named(site_path: str, code: str) -> Iterator[None]:
    """What Stripe refuses, by the name under which it was given to us."""
    try:
        yield
    except BadInput as error:
        path, got, expected = error.path, error.got, error.expected
        if path == "registration_code":
            expected = ("the words that the reader shows now, or simulated-wpe in test mode;"
                        f" Stripe says: {expected}")  # fmt: skip
            path, got = "--code", code
        elif path == "address" and got is None:
            path, expected = f"{site_path}.postal_address", _ADDRESS
        elif path.startswith("address"):
            path, got = f"{site_path}.postal_address{path[len('address') :]}", None
        elif path.startswith(("attended_type", "unattended")):
            path = "--unattended"
        raise BadInput(path, got, expected) from None


def _block(config: Config, site: Site, reader: Reader, unattended: bool, label: str) -> str | None:
    """The [[terminal]] to paste; None where the file has it."""
    if _terminal_of(config, reader) is not None:
        return None
    taken = {terminal.id for terminal in config.terminal}
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:50] or site.id
    number = next(n for n in range(1, len(taken) + 2) if _nth(name, n) not in taken)
    serves = ", ".join(_quoted(point.id) for point in site.charge_points)
    return "\n".join([
        "[[terminal]]",
        f"id = {_quoted(_nth(name, number))}",
        f"site = {_quoted(site.id)}",
        f"provider = {_quoted(STRIPE)}",
        f"reader = {_quoted(reader.id)}",
        f"serves = [{serves}]  # those that it stands for",
        f"attended = {str(not unattended).lower()}",
    ])  # fmt: skip


def _notes(
    config: Config, site: Site, processor: Processor, reader: Reader, options: argparse.Namespace
) -> Iterator[str]:
    if terminal := _terminal_of(config, reader):
        yield f"[[terminal]] {terminal.id} has it already"
        if terminal.attended is options.unattended:
            yield f"but it says attended = {str(terminal.attended).lower()}"
    if site.processor is None:
        yield f'site {site.id} needs processor = "{processor.id}" in its [[site]] as well'
    if not site.charge_points:
        yield f"site {site.id} has no charge points yet: serves needs at least one"
    if options.unattended and _UNATTENDED_DEVICE not in reader.device_type:
        yield (f"Stripe documents unattended payments for the Verifone UX700 only, and this is a"
               f" {reader.device_type}")  # fmt: skip


def _terminal_of(config: Config, reader: Reader) -> Terminal | None:
    return next((t for t in config.terminal if (t.provider, t.reader) == (STRIPE, reader.id)), None)


def _nth(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
