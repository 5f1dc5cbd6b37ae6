"""What the demo proves: the identities between what each side says, and the table of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from wattledger.energy import kwh_text
from wattledger.money import format_minor

Figures = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Part:
    """A figure with its name, counted with its sign."""

    name: str
    value: int
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Two sums that have to be equal. ``unit``: ``count``, ``Wh`` or a currency."""

    about: str
    left: tuple[Part, ...]
    right: tuple[Part, ...]
    unit: str = "count"

    @property
    def totals(self) -> tuple[int, int]:
        left, right = (sum(p.sign * p.value for p in side) for side in (self.left, self.right))
        return left, right

    @property
    def holds(self) -> bool:
        left, right = self.totals
        return left == right

    def names(self) -> str:
        sign = "=" if self.holds else "≠"
        return f"{_joined(self.left, _name)} {sign} {_joined(self.right, _name)}"

    def figures(self) -> str:
        sign = "=" if self.holds else "≠"

        def shown(part: Part) -> str:
            return _shown(part.value, self.unit)

        text = f"{_joined(self.left, shown)} {sign} {_joined(self.right, shown)}"
        if not self.holds and len(self.left) + len(self.right) > 2:
            left, right = self.totals
            text += f"   ({_shown(left, self.unit)} ≠ {_shown(right, self.unit)})"
        return text

    def as_json(self) -> dict[str, Any]:
        left, right = self.totals
        return {"about": self.about, "says": self.names(), "left": left, "right": right}


def _name(part: Part) -> str:
    return part.name


def _joined(parts: Sequence[Part], shown: Any) -> str:
    text = ""
    for i, part in enumerate(parts):
        link = (" − " if part.sign < 0 else " + ") if i or part.sign < 0 else ""
        text += link + shown(part)
    return text.strip()


def _shown(value: int, unit: str) -> str:
    if unit == "Wh":
        return f"{kwh_text(value)} kWh"
    return f"{value:,}" if unit == "count" else format_minor(value, unit)


def count_mismatches(own: Iterable[Mapping[str, Any]], listed: Iterable[Mapping[str, Any]]) -> int:
    """Sessions whose energy the charge points (``own``) and the server (``listed``) see otherwise.

    One that only one side knows counts too, unless no energy is said to have flowed.
    """
    ours = {_place(s): s["energy_wh"] for s in own if _place(s)}
    theirs = {_place(s): s["energy_wh"] or 0 for s in listed if _place(s)}
    return sum(ours.get(place, 0) != theirs.get(place, 0) for place in ours.keys() | theirs.keys())


def _place(session: Mapping[str, Any]) -> tuple[str, str] | None:
    """How both sides name a session: the CPMS's own id, or charge point and its transaction."""
    if session.get("external_id"):
        return "cpms", str(session["external_id"])
    if session.get("transaction_ref") is not None:
        return session["charge_point_id"], session["transaction_ref"]
    return None


def identities(report: Mapping[str, Any], outside: Figures) -> list[Identity]:
    """What has to hold. ``outside`` is what the other processes say of themselves:
    ``energy_wh``, ``refused`` and ``remote_stops`` (charge points), ``blocked``, ``declined`` and
    ``cards`` (how many such drivers came), ``cpms_minor``, ``captures``, ``captured_minor``,
    ``refunded_minor`` and ``fees_minor`` (processor, with what banks took back), ``books_minor``,
    ``books_messages`` and ``books_rejected``.
    """
    money = report["money"]
    currency = money["currency"]
    ledger, webhooks = report["ledger"], report["webhooks"]
    return [
        *_of_sessions(report["sessions"], report["energy_wh"], outside),
        # Sums agree also when nothing at all is collected: these count that it was.
        _between(outside, "refused", "blocked"),
        _between(outside, "remote_stops", "declined"),
        _between(outside, "captures", "cards"),
        Identity("money", _parts(money, "charged"), _parts(money, _ROUTES), currency),
        Identity(
            "money",
            _parts(money, "captured -refunds -disputes_net -fees"),
            _parts(money, "paid_out in_transit"),
            currency,
        ),
        _against(money, "captured", "processor's own", outside["captured_minor"], currency),
        _against(money, "fees disputes_net", "processor's own", outside["fees_minor"], currency),
        _against(money, "refunds", "processor's own", outside["refunded_minor"], currency),
        _against(money, "external", "CPMS's own", outside["cpms_minor"], currency),
        _against(money, "charged", "books' own total", outside["books_minor"], currency),
        Identity("webhooks", _parts(webhooks, "acknowledged"), _parts(webhooks, "sent")),
        _against(webhooks, "acknowledged", "books' own count", outside["books_messages"]),
        Identity("webhooks", (Part("rejected by the books", outside["books_rejected"]),), (_ZERO,)),
        Identity("ledger", (Part("proved", int(ledger["proved"] is True)),), (Part("1", 1),)),
        Identity("breaks", (Part("breaks", len(report["breaks"])),), (_ZERO,)),
    ]


_ROUTES = "captured invoiced external wallet roaming waived debt pending -refund_due"
_ZERO = Part("0", 0)


def _of_sessions(sessions: Figures, energy_wh: Figures, outside: Figures) -> list[Identity]:
    return [
        Identity("sessions", _parts(sessions, "replayed"), _parts(sessions, "refused held final")),
        Identity("sessions", _parts(sessions, "final"), _parts(sessions, "billed free")),
        _against(sessions, "refused", "charge points' own", outside["refused"]),
        Identity(
            "energy",
            _parts(energy_wh, "delivered"),
            _parts(energy_wh, "billed free held explained"),
            "Wh",
        ),
        _against(energy_wh, "delivered", "charge points' own", outside["energy_wh"], "Wh"),
        Identity("energy", _parts(energy_wh, "mismatched_sessions"), (_ZERO,)),
    ]


_SHOWN = {
    "refused": "refused at the posts",
    "blocked": "drivers with a blocked token",
    "remote_stops": "declined and stopped from afar",
    "declined": "drivers with a declined card",
    "captures": "captures at the processor",
    "cards": "drivers with a good card",
}


def _between(outside: Figures, left: str, right: str) -> Identity:
    sides = [(Part(_SHOWN[name], outside[name]),) for name in (left, right)]
    return Identity("drivers", sides[0], sides[1])


def _against(of: Figures, name: str, whose: str, value: int, unit: str = "count") -> Identity:
    about = {"Wh": "energy", "count": "checks"}.get(unit, "money")
    return Identity(about, _parts(of, name), (Part(whose, value),), unit)


def _parts(of: Figures, names: str) -> tuple[Part, ...]:
    parts = []
    for name in names.split():
        sign, key = (-1, name[1:]) if name.startswith("-") else (1, name)
        parts.append(Part(key.replace("_", " "), of[key], sign))
    return tuple(parts)


def show(report: Mapping[str, Any], found: Sequence[Identity], console: Console) -> None:
    """The table for people: each identity in words, in figures, and whether it holds."""
    table = Table(title="What adds up", title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("says")
    table.add_column("figures")
    for identity in found:
        sign = "[green]✓[/]" if identity.holds else "[bold red]≠[/]"
        table.add_row(sign, identity.names(), identity.figures())
    console.print(table)
    for entry in report["breaks"]:
        console.print(f"[red]break[/] {entry}", markup=True, highlight=False)
    ledger, payments = report["ledger"], report["payments"]
    console.print(
        f"Charged again, above the hold: {payments['second_charges']}. Debts: {payments['debts']}."
        f" Paid at a card reader: {payments['terminal_matched']}. Given back in part:"
        f" {payments['refunds']}. Disputed by a bank: {payments['disputes']}."
        " All of them are on the page, under /payments.",
        highlight=False,
    )
    console.print(
        "Stopped from afar, because the hold was declined or the running cost came close to it:"
        f" {report['sessions'].get('stopped_from_afar', 0)}.",
        highlight=False,
    )
    console.print(
        f"{ledger['entries']:,} ledger entries with {ledger['postings']:,} postings, "
        f"{report['webhooks']['sent']:,} webhooks, {report['seconds']} s.",
        highlight=False,
    )
