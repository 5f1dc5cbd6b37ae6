"""``wattledger lint`` and ``wattledger tariff convert``: what a file of tariffs says."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import tomllib
from collections import Counter
from datetime import date
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from wattledger.cli.bill_text import visible, width
from wattledger.cli.files import STDIN, inside, read_file, shown
from wattledger.clock import SystemClock, utc_text
from wattledger.errors import BadInput, CantSay
from wattledger.tariffs import fields, formats, jurisdictions
from wattledger.tariffs.findings import Finding, Severity, in_order
from wattledger.tariffs.lint import lint as find
from wattledger.tariffs.policies import FOREIGN
from wattledger.wire.numbers import parse_time

EXPECTED = "a tariff: OCPI, OCPP 2.1 or our own (- for standard input)"
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_MARGIN = 9
_POWER_MAX_W = 100_000_000


class _Linted(msgspec.Struct, frozen=True):
    """One tariff of a file and what was found."""

    id: str
    format: str
    findings: tuple[Finding, ...]


def lint(options: argparse.Namespace) -> int:
    """``wattledger lint``: 1 when there is an error."""
    on = _day(options.on)
    power_w = _power(options.power_w)
    raw = read_file(options.tariff, EXPECTED)
    with inside(options.tariff):
        found = formats.read_any_list(raw)
        rules = jurisdictions.load(_own_rules(raw))
    linted = [
        _Linted(
            tariff.id,
            form,
            in_order([
                *(_unread(warning) for warning in warnings),
                *find(tariff, options.jurisdiction, on, power_w,
                      programmes=tuple(options.programme), rules=rules),
            ]),
        )
        for tariff, warnings, form in found
    ]  # fmt: skip
    counts = Counter(finding.severity for one in linted for finding in one.findings)
    if options.json:
        counted = {f"{severity.value}s": counts[severity] for severity in Severity}
        print(json.dumps({"tariffs": msgspec.to_builtins(linted), **counted}))
    else:
        _print_findings(options.tariff, linted, counts)
    return 1 if counts[Severity.ERROR] else 0


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    day = fields.local_date(text, "--on")
    return date.fromisoformat(day)


def _power(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii() or not 0 < int(text[:12]) <= _POWER_MAX_W:
        raise BadInput("--power-w", text, "a power in whole W, such as 150000")
    return int(text)


def _own_rules(raw: bytes) -> tuple[jurisdictions.Jurisdiction, ...]:
    """The operator's rules, where the file is a configuration."""
    try:
        value = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return ()
    return jurisdictions.read_jurisdictions(value.get("jurisdiction", []))


def _unread(warning: str) -> Finding:
    """What the reader of another standard's tariff had to say."""
    path, _, message = warning.partition(": ")
    return Finding("reader", Severity.WARNING, path, message)


def _print_findings(name: str, linted: list[_Linted], counts: Counter[Severity]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for one in linted:
        console.print(Text(visible(f"{shown(name)}: tariff {one.id} ({one.format})"), "bold"))
        for finding in one.findings:
            console.print(_head(finding))
            for line in textwrap.wrap(visible(finding.message), width() - _MARGIN - 2):
                console.print(Text(" " * (_MARGIN + 2) + line))
    said = [
        f"{counts[severity]} {word}{'' if counts[severity] == 1 or word == 'info' else 's'}"
        for severity, word in ((s, s.value) for s in Severity)
        if counts[severity]
    ]
    console.print(Text(", ".join(said) or "Nothing found."))


def _head(finding: Finding) -> Text:
    text = Text("  ")
    text.append(f"{finding.severity.value:<{_MARGIN}}", _STYLES[finding.severity])
    text.append(f"{finding.code}  {visible(finding.path)}")
    return text


def convert(options: argparse.Namespace) -> int:
    """``wattledger tariff convert``: 1, and nothing written, where the format can't say all."""
    target = _format(options.to, "--to")
    form = None if options.form is None else _format(options.form, "--from")
    raw = read_file(options.input, EXPECTED)
    with inside(options.input):
        found = formats.read_any_list(raw, "$", form)
    given = {name: _short(options, name, most)
             for name, most in (("country_code", 2), ("party_id", 3))}  # fmt: skip
    updated = options.last_updated and parse_time(options.last_updated, "--last-updated")
    made: list[bytes] = []
    lost: list[str] = []
    said: list[str] = []
    for i, (tariff, warnings, _) in enumerate(found):
        where = f"{shown(options.input)}: "
        where += f"tariff {i + 1} of {len(found)}: " if len(found) > 1 else ""
        said += [f"{where}{warning}" for warning in warnings]
        at = updated or tariff.last_updated
        if at is None and target.startswith("ocpi"):
            at = SystemClock().now().replace(microsecond=0)
            said.append(f"{where}$.last_updated: missing; {utc_text(at)} is written, the present "
                        "moment (--last-updated says another)")  # fmt: skip
        try:
            made.append(formats.convert(tariff, target, last_updated=at, **given))
        except CantSay as error:
            lost += [f"{where}{loss}{_hint(loss)}" for loss in error.losses]
            continue
        said += [f"{where}{path}: left behind{_why(path, target)}"
                 for path in formats.left_behind(tariff, target)]  # fmt: skip
    if lost:
        print(f"wattledger: {target} can't say all of it; nothing was written:", file=sys.stderr)
        for line in lost:
            print(f"  {visible(line)}", file=sys.stderr)
        return 1
    for line in said:
        print(f"warning: {visible(line)}", file=sys.stderr)
    _write(options.output, _joined(made, listed=len(made) > 1))
    return 0


def _format(name: str, option: str) -> str:
    try:
        return formats.check_format(name)
    except BadInput as error:
        raise BadInput(option, error.got, error.expected) from None


def _short(options: argparse.Namespace, name: str, most: int) -> str | None:
    value = getattr(options, name)
    return None if value is None else fields.text(value, f"--{name.replace('_', '-')}", most)


def _hint(loss: str) -> str:
    for name in ("country_code", "party_id"):
        if loss.startswith(f"$.{name}: missing"):
            return f" (--{name.replace('_', '-')})"
    return ""


def _why(path: str, target: str) -> str:
    name = path.removeprefix("$.policies.")
    if name == path:
        return "; it prices nothing"
    return f"; a tariff that is read from {target} has {name} = {getattr(FOREIGN, name)}"


def _joined(made: list[bytes], *, listed: bool) -> str:
    if not listed:
        return made[0].decode()
    parts = [textwrap.indent(one.decode().rstrip(), "  ") for one in made]
    return "[\n" + ",\n".join(parts) + "\n]\n"


def _write(name: str | None, text: str) -> None:
    if name is None or name == STDIN:
        print(text, end="")
        return
    try:
        Path(name).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput(name, reason.lower(), "a file that can be written") from None
