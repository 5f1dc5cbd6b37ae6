"""A charge for people: the bill, its exact amounts, and where a record states other totals."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence

import msgspec

from wattledger.cli.costing import Cost
from wattledger.rating.explain import driver_text
from wattledger.rating.model import Charge, Difference
from wattledger.tariffs.model import Tariff
from wattledger.tariffs.policies import Policies

_WIDTH_MAX = 100
_NOTE = "Note: "


def width() -> int:
    """The terminal's columns, no more than can be read; 80 where there is no terminal."""
    return min(shutil.get_terminal_size((80, 24)).columns, _WIDTH_MAX)


def bill_text(
    charge: Charge,
    tariffs: Sequence[Tariff],
    *,
    reasons: bool = False,
    cost: Cost | None = None,
) -> str:
    """All of it; with ``reasons`` why under each line, and the policies."""
    out = [_wrapped(driver_text(charge, tariffs, reasons=reasons))]
    exact = [
        ("before taxes", charge.exact_net),
        ("taxes", charge.exact_tax),
        ("after taxes", charge.exact_total),
    ]
    out.append(f"Exact, in {charge.currency}\n" + columns(exact))
    if charge.differences:
        out.append(_differences(charge.differences))
    if cost is not None:
        out.append("Energy, without demand and fixed charges\n" + columns(cost.rows()))
    if reasons:
        out.append(_policies(charge.policies))
    return visible("\n".join(out))


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows under one another, indented: the first column to the left, the others to the right."""
    found = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in found) for i in range(len(found[0]))]
    lines = []
    for first, *others in found:
        cells = [f"{first:<{widths[0]}}"]
        cells += [f"{cell:>{size}}" for cell, size in zip(others, widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def visible(text: str) -> str:
    """Without what a terminal would obey: names come from files."""
    return "".join(
        c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text
    )  # fmt: skip


def _differences(found: Sequence[Difference]) -> str:
    rows = [("", "stated", "here", "difference")]
    rows += [(one.path, one.stated, one.priced, one.difference) for one in found]
    return "The record states other totals\n" + columns(rows)


def _policies(policies: Policies) -> str:
    usual = Policies()
    rows = [
        (name, _word(getattr(policies, name)), f"default {_word(getattr(usual, name))}")
        for name in Policies.__struct_fields__
        if getattr(policies, name) != getattr(usual, name)
    ]
    if not rows:
        return "Policies: all as by default\n"
    names, values = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = [f"  {name:<{names}}  {value:<{values}}  {default}" for name, value, default in rows]
    return "Policies other than the default\n" + "\n".join(lines) + "\n"


def _word(value: object) -> str:
    return str(msgspec.to_builtins(value)).lower() if isinstance(value, bool) else str(value)


def _wrapped(text: str) -> str:
    """Sentences broken at the width; the rows of the bill stay as they are."""
    columns_ = width()
    out = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        is_note = line.startswith(_NOTE)
        if len(line) <= columns_ or not (indent or is_note):
            out.append(line.rstrip())
            continue
        out += textwrap.wrap(
            line, columns_, subsequent_indent=" " * (len(_NOTE) if is_note else indent),
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(out) + "\n"
