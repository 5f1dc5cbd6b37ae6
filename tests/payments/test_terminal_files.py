"""A vendor's file of payments: by a mapping or our own names; what is wrong names its place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from wattledger.errors import BadInput
from wattledger.payments.terminal.files import PaymentMap, lines, read_map
from wattledger.payments.terminal.reports import Report

MAP = b"""
delimiter = ";"
decimal = ","
time_format = "%d.%m.%Y %H:%M"
time_zone = "Europe/Berlin"
[payment]
kind = { value = "settlement" }
reference = "Beleg"
terminal = { from = "Gerat", map = { "1" = "door" } }
at = "Zeit"
amount = "Betrag"
"""


def test_a_csv_by_a_mapping() -> None:
    raw = b"Beleg;Gerat;Zeit;Betrag\nA1;1;02.11.2026 01:00;12,34\n"
    [line] = lines(raw, "csv", read_map(MAP))
    assert line.error is None
    assert line.report == Report(
        "settlement", "A1", "door", datetime(2026, 11, 2, 0, 0, tzinfo=UTC), amount="12.34"
    )


def test_what_is_wrong_with_a_line_loses_no_other() -> None:
    raw = (b"Beleg;Gerat;Zeit;Betrag\n"
           b"A1;2;02.11.2026 01:00;12,34\n"      # no such device
           b"A2;1;2026-11-02;12,34\n"            # another form of time
           b"A3;1;25.10.2026 02:30;12,34\n"      # comes twice that night
           b"A4;1;02.11.2026 01:00\n"            # a cell is missing
           b"A5;1;02.11.2026 01:00;-1,00\n"      # what goes back is a reversal
           b"A6;1;02.11.2026 01:00;12,34\n")  # fmt: skip
    found = list(lines(raw, "csv", read_map(MAP)))
    assert [line.error.path if line.error else None for line in found] == [
        "line 2.terminal", "line 3.at", "line 4.at", "line 5", "line 6.amount", None,
    ]  # fmt: skip


def test_a_csv_with_our_own_names() -> None:
    raw = (b"kind,reference,terminal,at,amount,charge_point_id,connector_id\n"
           b"authorization,A1,door,2026-11-02T00:00:00Z,50.00,Y-1,2\n")  # fmt: skip
    [line] = lines(raw, "csv", PaymentMap())
    assert line.report is not None
    assert (line.report.charge_point_id, line.report.connector_id) == ("Y-1", 2)
    with pytest.raises(BadInput, match="colour"):
        list(lines(b"kind,reference,terminal,at,amount,colour\n", "csv", PaymentMap()))


def test_json_lines() -> None:
    raw = (
        b'{"kind":"settlement","reference":"A1","terminal":"door","at":"2026-11-02T00:00:00Z",'
        b'"amount":12.34}\n\nnot json\n{"kind":"x"}\n{"kind":"settlement","kind":"settlement"}'
    )
    found = list(lines(raw, "jsonl", PaymentMap()))
    assert found[0].report is not None
    assert found[0].report.amount == "12.34"
    assert [line.place for line in found] == ["line 1", "line 3", "line 4", "line 5"]
    assert all(line.error is not None for line in found[1:])


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'[payment]\ncolour = "x"', "$.payment.colour"),
        (b'[payment]\nkind = { from = "a", value = "b" }', "$.payment.kind"),
        (b'time_zone = "Mars"', "$.time_zone"),
        (b"colour = 1", "$"),
        (b"=", "$"),
    ],
)
def test_what_is_wrong_with_a_mapping(raw: bytes, path: str) -> None:
    with pytest.raises(BadInput) as error:
        read_map(raw)
    assert error.value.path == path
