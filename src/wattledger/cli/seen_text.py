"""Sessions and anomalies as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from wattledger.clock import utc_text
from wattledger.energy import kwh_text
from wattledger.ingest.codes import Severity
from wattledger.money import format_minor
from wattledger.pipeline.billing.decisions import Offers
from wattledger.pipeline.billing.resolve import Resolved
from wattledger.rating.words import quantity_text

_STYLES = {
    "billed": "green", "adjusted": "green", "free": "", "open": "cyan", "ended": "cyan",
    "held": "bold red",
}  # fmt: skip
_SEVERITY = {Severity.HOLDS: "bold red", Severity.LOOK: "yellow", Severity.NOTE: ""}


def sessions(rows: list[dict[str, Any]], *, filtered: bool, limit: int) -> None:
    """The list, the newest first."""
    out = console()
    if not rows:
        out.print("No session matches." if filtered else "No session yet: connect a charge point,"
                  " or send one to POST /v1/sessions.")  # fmt: skip
        return
    columns = ("Started", "Site", "Charge point", "+Token", ">kWh", ">Charged", "State", "+Id")
    print_rows(out, columns, [
        (when(row["started_at"]), plain(row["site_id"]),
         plain(f"{row['charge_point_id']}/{row['connector_id']}"), plain(row["token"]),
         _kwh(row["energy_wh"]), _money(row), _state(row), plain(row["id"]))
        for row in rows
    ])  # fmt: skip
    if len(rows) == limit:
        out.print(f"The newest {limit}; --limit shows more.", style="dim")


def session(found: dict[str, Any]) -> None:
    """One session: what it is, its facts in order, its anomalies, its bill."""
    out = console()
    title = Text.assemble((found["id"], "bold"), "  ", _state(found))
    out.print(title)
    lines = [
        ("where", f"{found['site_id']}, {found['charge_point_id']}/{found['connector_id']}"),
        ("token", f"{found['token']}, paid by {found['route']}"),
        ("time", f"{when(found['started_at'])} to {when(found['stopped_at']) or 'now'}"),
        ("energy", f"{_kwh(found['energy_wh']) or 'not known'} kWh by its registers"),
        ("transaction", str(found["transaction_ref"] or found["external_id"] or "–")),
    ]
    if found["discarded"]:
        lines.append(("discarded", found["discarded"].replace("_", " ")))
    for name, value in lines:
        out.print(Text.assemble((f"  {name:12}", "dim"), clean(value)))
    _facts(out, found["facts"])
    if found["anomalies"]:
        out.print("\nAnomalies", style="bold")
        _anomaly_table(out, found["anomalies"])
    for charge in found["charges"]:
        _charge(out, charge)


def frames(found: dict[str, Any]) -> None:
    """What went over the wire in its time, where it was asked for."""
    out = console()
    for frame in found.get("frames", ()):
        arrow = "→" if frame["direction"] == "in" else "←"
        text = f"{when(frame['received_at'])} {arrow} {frame['raw']}"
        out.print(plain(text), soft_wrap=True)
    if found.get("frames") == []:
        out.print("\nNo frames are kept of that time.", style="dim")


def anomalies(found: list[dict[str, Any]], *, code: str | None, limit: int) -> None:
    """The list, and how to go on."""
    out = console()
    if not found:
        out.print(f"No anomaly {code} is open." if code else "Nothing needs a person.")
        return
    _anomaly_table(out, found)
    if len(found) == limit:
        out.print(f"The newest {limit}; --limit shows more.", style="dim")
    out.print("Next: wattledger anomalies show NUMBER", style="dim")


def anomaly(found: dict[str, Any], offered: Offers) -> None:
    """One: what it means, what is known, and what can be done."""
    out = console()
    severity = found["severity"]
    head = Text.assemble((f"{found['id']}  ", "bold"), (found["code"], "bold"), "  ",
                         (str(severity), _SEVERITY[severity]))  # fmt: skip
    out.print(head)
    out.print(plain(found["meaning"]))
    out.print(Text.assemble(("  about       ", "dim"), clean(found["subject"])))
    for name, value in found["detail"].items():
        out.print(Text.assemble((f"  {clean(name):12}", "dim"), clean(str(value))))
    if found["act"]:
        act = found["act"]
        out.print(plain(f"{act['act']} by {act['by']} at {when(act['at'])}: {act['reason']}"))
        return
    out.print(plain(found["todo"]))
    if offered.bills is not None:
        total = format_minor(offered.bills.total_minor, offered.bills.currency)
        out.print(f"Accepted, {kwh_text(offered.bills.energy_wh)} kWh are billed for {total}.")
    elif offered.why:
        out.print(plain(f"It can't be accepted: {offered.why}."))
    if offered.known is not None:
        told = offered.known
        start = f"Start {when(told.start_at)}, {_register(told.start_wh)}"
        stop = f"stop {when(told.stop_at) or 'not known'}, {_register(told.stop_wh)}"
        out.print(plain(f"{start}; {stop}."))
    for act in offered.acts:
        out.print(f"  wattledger anomalies {act} {found['id']} --reason …", style="dim")


def done(found: Resolved) -> None:
    """What became of an act."""
    out = console()
    words = {"accept": "accepted", "correct": "corrected", "discard": "discarded"}[found.act]
    before = "" if found.new else " before, in the same way; nothing was changed"
    out.print(plain(f"Anomaly {found.anomaly_id}: {words}{before}."))
    if found.session_id is None:
        return
    state = {
        "ended": "is billed in the next round of the worker",
        "free": "is free",
    }.get(str(found.session_state), f"is {found.session_state}")
    if found.act == "correct" and found.session_state in ("billed", "adjusted"):
        state = "is adjusted in the next round of the worker"
    out.print(plain(f"Session {found.session_id} {state}."))


# --- pieces ----------------------------------------------------------------------------------


def _facts(out: Console, facts: list[dict[str, Any]]) -> None:
    out.print(f"\nFacts ({len(facts)})", style="bold")
    table = table_of("Time", "Fact", ">Register", "Activity", "From")
    for fact in facts:
        wh = fact["register_wh"]
        table.add_row(
            when(fact["at"]), plain(fact["kind"].replace("_", " ")),
            "" if wh is None else f"{wh} Wh", plain(fact["activity"] or ""),
            plain(fact["origin"].replace("_", " ")),
        )  # fmt: skip
    out.print(table)


def _charge(out: Console, charge: dict[str, Any]) -> None:
    currency = charge["currency"]
    title = f"\n{'Credit' if charge['kind'] == 'credit' else 'Bill'} {charge['revision']}"
    told = f"  {charge['charge_id']}, {when(charge['issued_at'])}"
    if charge["reason"]:
        told += f", {charge['reason']}"
    out.print(Text.assemble((title, "bold"), (clean(told), "dim")))
    rows: list[tuple[str | Text, ...]] = [
        (str(n), plain(line["text"]), _quantity(line, charge), plain(_price(line)),
         format_minor(line["net_minor"], currency))
        for n, line in enumerate(charge["lines"], 1)
        if line["net_minor"] or line.get("kind") != "rounding"
    ]  # fmt: skip
    rows.append(("", "Tax", "", "", format_minor(charge["tax_minor"], currency)))
    total = format_minor(charge["total_minor"], currency)
    rows.append(("", Text("Total", style="bold"), "", "", Text(total, style="bold")))
    print_rows(out, (">No.", "Line", ">Quantity", ">Price", ">Net"), rows)


def _quantity(line: dict[str, Any], charge: dict[str, Any]) -> str:
    if not line.get("quantity_unit"):
        return ""
    scale = charge.get("quantity_scale", 1)
    return quantity_text(line["billed_quantity"], line["quantity_unit"], scale)


def _price(line: dict[str, Any]) -> str:
    return f"{line['unit_price']}/{line['unit']}" if line.get("unit") else ""


def _anomaly_table(out: Console, found: Sequence[dict[str, Any]]) -> None:
    rows = []
    for one in found:
        act = one["act"]
        state = Text(str(one["severity"]), style=_SEVERITY[one["severity"]])
        if act:
            state = plain(f"{act['act']} by {act['by']}: {act['reason']}")
        rows.append((str(one["id"]), when(one["at"]), plain(one["code"]), plain(one["subject"]),
                     plain(one["meaning"]), state))  # fmt: skip
    print_rows(out, (">No.", "When", "Code", "+About", "~What it means", "~State"), rows)


def console() -> Console:
    """As wide as the terminal; where there is none as wide as it takes, one line for each row."""
    out = Console()
    return out if out.is_terminal else Console(width=_PIPED_WIDTH)


_PIPED_WIDTH = 2_000
_TEXT_MIN = 24
"""A text is not pressed into fewer columns: it goes below its row before."""


def table_of(*columns: str) -> Table:
    """Columns with their heads; those with > stand to the right, those with ~ are texts, which may
    be broken; nothing else is."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        right, text = column.startswith(">"), column.startswith("~")
        table.add_column(column.lstrip(">~+"), justify="right" if right else "left",
                         no_wrap=not text, overflow="fold")  # fmt: skip
    return table


def print_rows(out: Console, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """A table. Where the terminal is too narrow for it, what stands under + and ~ goes onto a line
    of its own below each row, and of the others the last ones, if they must: an id or an amount
    that is broken can't be copied."""
    every = range(len(columns))
    if _width(columns, rows, every) <= out.width:
        whole = table_of(*columns)
        for row in rows:
            whole.add_row(*row)
        out.print(whole)
        return
    above = [n for n in every if columns[n][0] not in "+~"]
    while len(above) > 1 and _width(columns, rows, above) > out.width:
        above.pop()
    table = table_of(*(columns[n] for n in above))
    for row in rows:
        table.add_row(*(row[n] for n in above))
    lines = out.render_lines(table, pad=False)
    out.print(Segments([*lines[0], Segment.line()]), end="")
    for row, line in zip(rows, lines[1:], strict=True):
        out.print(Segments([*line, Segment.line()]), end="")
        below = [str(row[n]) for n in every if n not in above]
        told = [cell for cell in below if cell not in ("", "–")]
        if told:
            below_it = Text("  ".join(told), style="dim")
            out.print(Padding(below_it, (0, 0, 0, 2), expand=False))


def _width(
    columns: Sequence[str], rows: Sequence[Sequence[str | Text]], which: Iterable[int]
) -> int:
    """What these columns need so that nothing but texts is broken."""
    needed = 0
    for n in which:
        column = columns[n]
        widest = max([cell_len(column.lstrip(">~+")), *(cell_len(str(row[n])) for row in rows)])
        needed += 2 + (min(widest, _TEXT_MIN) if column.startswith("~") else widest)
    return needed - 2


def when(at: datetime | None) -> str:
    return utc_text(at.replace(microsecond=0)) if at else ""


def _register(register_wh: int | None) -> str:
    return "register not known" if register_wh is None else f"{register_wh} Wh"


def _kwh(energy_wh: int | None) -> str:
    return "" if energy_wh is None else kwh_text(energy_wh)


def _money(row: dict[str, Any]) -> str:
    total = row["total_minor"]
    return "" if total is None else format_minor(total, row["currency"])


def _state(row: dict[str, Any]) -> Text:
    state = Text(row["state"], style=_STYLES.get(row["state"], ""))
    if row["held_reason"]:
        state.append(f" {clean(row['held_reason'])}", style="")
    if row["open_anomalies"]:
        state.append(f" ({row['open_anomalies']} open)", style="yellow")
    return state


def plain(text: str) -> Text:
    """Text from outside: no markup in it counts, and nothing in it moves a terminal."""
    return Text(clean(text))


def clean(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
