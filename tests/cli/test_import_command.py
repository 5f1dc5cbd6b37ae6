"""``wattledger import`` as a user runs it: look first, take, mend what was refused, take again."""

from __future__ import annotations

import asyncio
import csv
import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from wattledger.cli import importing
from wattledger.cli.main import main
from wattledger.config import parse, read, versions
from wattledger.db import versions as store
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.installation import BEGINNING

EXAMPLES = Path(__file__).parents[2] / "examples" / "import"
FIELDS = ("new", "known", "rejected", "energy_wh")
MAPPING = """
delimiter = ";"
decimal = ","
unit = "kWh"
time_format = "%d.%m.%Y %H:%M"
time_zone = "America/New_York"
[session]
session_id = "Id"
token = "Card"
charge_point_id = { from = "Where", map = { "One" = "DEPOT-01", "Two" = "DEPOT-02", "Gone" = "X" } }
started_at = "From"
ended_at = "To"
energy = "kWh"
external_reference = "Paid"
external_amount = "Amount"
external_currency = { value = "USD" }
"""
HEADER = "Id;Card;Where;From;To;kWh;Paid;Amount"
GOOD = "1;04A1B2C3;One;03.03.2025 08:00;03.03.2025 09:00;10,5;;"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the example's configuration and no database."""
    (tmp_path / "wattledger.toml").write_bytes((EXAMPLES / "wattledger.toml").read_bytes())
    (tmp_path / "map.toml").write_text(MAPPING)
    return tmp_path


@pytest.fixture
async def served(
    home: Path, work: Work, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The same with the test's own database, on 2026-11-02."""
    config = home / "wattledger.toml"
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(read(config)), BEGINNING)
    lines = ["[database]"]
    for key, role in (("dsn_env", Role.APP), ("owner_dsn_env", Role.OWNER),
                      ("reader_dsn_env", Role.READER)):  # fmt: skip
        monkeypatch.setenv(f"TEST_{role.upper()}", database.conninfo(role))
        lines.append(f'{key} = "TEST_{role.upper()}"')
    config.write_text("\n".join([*lines, config.read_text()]))
    assert parse({}) is not None
    with psycopg.connect(database.conninfo(Role.OWNER)) as conn:
        conn.execute("INSERT INTO wattledger.driven_clock (now) VALUES ('2026-11-02T00:00Z')")
    return home


async def _import(
    home: Path, name: str, capsys: pytest.CaptureFixture[str], *options: str, mapped: bool = True
) -> tuple[int, dict[str, Any]]:
    given = ["import", str(home / name), "--config", str(home / "wattledger.toml"), "--json"]
    given += ["--mapping", str(home / "map.toml")] if mapped else []
    code = await asyncio.to_thread(main, [*given, *options])
    return code, dict(json.loads(capsys.readouterr().out))


def _figures(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in FIELDS)


async def _sessions(work: Work) -> list[dict[str, Any]]:
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute(
            "SELECT source, charge_point_id AS point, meter_stop_wh - meter_start_wh AS wh, route,"
            " started_at::text FROM session ORDER BY started_at, charge_point_id"
        )
        return await cursor.fetchall()


async def test_look_take_mend_and_take_again(
    served: Path, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three sessions of 10.5, 7.001 and 0.25 kWh; one has a card that nobody knows."""
    two = "2;04D4E5F6;Two;03.03.2025 08:00;03.03.2025 08:30;7,001;;"
    lost = "3;NOBODY;Two;03.03.2025 10:00;03.03.2025 10:30;0,25;;"
    (served / "a.csv").write_text("\n".join([HEADER, GOOD, two, "", lost, ""]))
    code, found = await _import(served, "a.csv", capsys, "--dry-run")
    assert (code, _figures(found), found["dry_run"]) == (1, (2, 0, 1, 17_501), True)
    assert (found["first_at"], found["last_at"]) == ("2025-03-03T13:00:00Z",) * 2
    assert found["sites"] == {"depot": {"sessions": 2, "energy_wh": 17_501}}
    assert await _sessions(work) == [], "a dry run writes nothing"
    assert not [name for name in os.listdir(served) if "rejected" in name]

    code, found = await _import(served, "a.csv", capsys)
    assert (code, _figures(found)) == (1, (2, 0, 1, 17_501))
    rows = await _sessions(work)
    assert [(row["source"], row["point"], row["wh"]) for row in rows] == [
        ("import", "DEPOT-01", 10_500), ("import", "DEPOT-02", 7_001),
    ]  # fmt: skip
    [refused] = found["rejections"]
    assert (refused["place"], refused["id"], refused["path"]) == ("line 5", "3", "$.token")
    assert refused["field"] == "Card"
    assert "apply --valid-from" in refused["to_do"]

    report = served / "a.csv.rejected.csv"
    assert found["rejected_file"] == str(report)
    header, row = csv.reader(report.open(), delimiter=";")
    assert header[:8] == HEADER.split(";")
    assert row[:8] == lost.split(";")
    assert row[8:11] == ["line 5", "$.token", "'NOBODY'"]
    # Mended, the report itself is imported; the file as it was changes nothing.
    report.write_text(report.read_text().replace("NOBODY", "04A1B2C3"))
    code, found = await _import(served, report.name, capsys)
    assert (code, _figures(found)) == (0, (1, 0, 0, 250))
    (served / "a.csv").write_text("\n".join([HEADER, GOOD, two]))
    for option in ("--dry-run", "--json"):
        code, found = await _import(served, "a.csv", capsys, option)
        assert (code, _figures(found)) == (0, (0, 2, 0, 0))
    (served / "a.csv").write_text("\n".join([HEADER, GOOD.replace("10,5", "10,6")]))
    for option in ("--dry-run", "--json"):
        code, found = await _import(served, "a.csv", capsys, option)
        assert (code, _figures(found)) == (1, (0, 0, 1, 0))
        assert "came before with another content" in found["rejections"][0]["expected"]
    assert sum(row["wh"] for row in await _sessions(work)) == 10_500 + 7_001 + 250


async def test_a_row_without_an_id_counts_once_too(
    served: Path, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = MAPPING.replace('session_id = "Id"\n', "")
    (served / "map.toml").write_text(mapping)
    later = GOOD.replace("03.03.2025", "04.03.2025")
    (served / "a.csv").write_text("\n".join([HEADER, GOOD, GOOD, later]))
    assert _figures((await _import(served, "a.csv", capsys))[1]) == (2, 1, 0, 21_000)
    assert _figures((await _import(served, "a.csv", capsys))[1]) == (0, 3, 0, 0)
    assert len(await _sessions(work)) == 2


READINGS = """
unit = "kWh"
[session]
session_id = "id"
token = "card"
charge_point_id = { value = "DEPOT-01" }
[reading]
at = "at"
energy = "register"
power_w = "power"
[state]
state = { from = "state", map = { "C" = "charging", "S" = "suspended_ev", "-" = "" } }
"""


def _readings(*rows: str) -> str:
    return "\n".join(["id,card,at,register,power,state", *rows])


async def test_rows_that_are_readings(
    served: Path, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that can't be read may be of either neighbour: both are refused, none is halved."""
    (served / "map.toml").write_text(READINGS)
    at = "2025-03-03T{}Z".format
    whole = [f"A,04A1B2C3,{at('08:00')},100.000,11000,C", f"A,04A1B2C3,{at('08:30')},105.5,,-",
             f"A,04A1B2C3,{at('09:00')},110.001,,S"]  # fmt: skip
    halves = [f"B,04A1B2C3,{at('10:00')},110.001,,C", "B,04A1B2C3,oops",
              f"C,04A1B2C3,{at('11:00')},120,,C", f"C,04A1B2C3,{at('11:30')},125,,C"]  # fmt: skip
    (served / "a.csv").write_text(_readings(*whole, *halves))
    code, found = await _import(served, "a.csv", capsys)
    assert (code, _figures(found)) == (1, (1, 0, 2, 10_001))
    told = [(r["place"], r["path"]) for r in found["rejections"]]
    assert told == [("lines 5-6", "line 6"), ("lines 6-8", "line 6")]
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute(
            "SELECT kind, register_wh, activity, detail->>'register' AS made FROM session_fact"
            " ORDER BY at, kind, id"
        )
        facts = [tuple(row.values()) for row in await cursor.fetchall()]
    assert facts == [
        ("start", 100_000, None, None), ("status", None, "charging", None),
        ("meter", 105_500, None, None),
        ("status", None, "vehicle_idle", None), ("stop", 110_001, None, None),
    ]  # fmt: skip
    # Rows of one session that stand apart would be two halves: nothing is taken at all.
    (served / "b.csv").write_text(_readings(whole[0], halves[2], *whole[1:]))
    code, found = await _import(served, "b.csv", capsys)
    assert code == 2
    assert "line 4: got 'A', expected all rows of a session one after the other" in found["error"]


async def test_json_by_a_mapping_our_own_and_cdrs(
    served: Path, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    (served / "map.toml").write_text(
        'items = "data.list"\nunit = "kWh"\ntime_format = "unix"\n'
        '[session]\nsession_id = { from = "no", prefix = "X-" }\ntoken = "who.card"\n'
        'evse_id = "where[0]"\nended_at = "left"\n'
        'external_reference = "paid.ref"\nexternal_amount = "paid.sum"\n'
        'external_currency = "paid.cur"\n'
        '[reading]\nitems = "values"\nat = "t"\nenergy = "e"\n'
        '[state]\nitems = "log"\nat = "t"\nstate = { from = "s", map = { "stop" = "finished" } }\n'
    )
    began = 1_741_000_000  # 2025-03-03T11:06:40Z
    record = {
        "no": 7, "who": {"card": "WALK-UP"}, "where": ["DEPOT-01*1"], "left": began + 7200,
        "values": [{"t": began, "e": 1.5}, {"t": began + 3600, "e": 4.0001}],
        "log": [{"t": began + 3600, "s": "stop"}],
        "paid": {"ref": "P-1", "sum": "1.00", "cur": "USD"},
    }  # fmt: skip
    paid_twice = {**record, "no": 8, "where": ["DEPOT-02"]}
    (served / "a.json").write_text(json.dumps({"data": {"list": [record, 7, paid_twice]}}))
    for option in ("--dry-run", "--json"):
        code, found = await _import(served, "a.json", capsys, option)
        # 4.0001 kWh is 4000 Wh.
        assert (code, _figures(found)) == (1, (1, 0, 2, 2_500))
        told = [(r["place"], r["id"], r["path"]) for r in found["rejections"]]
        assert told == [("$.data.list[1]", None, "$.data.list[1]"), ("$.data.list[2]", "X-8", "$")]
    kept = json.loads((served / "a.json.rejected.json").read_text())
    assert [row["record"] for row in kept] == [7, paid_twice]

    ours = {
        "session_id": "own", "token": "04A1B2C3", "charge_point_id": "DEPOT-02",
        "started_at": "2025-03-04T08:00:00Z", "ended_at": "2025-03-04T09:00:00Z",
        "readings": [{"at": "2025-03-04T08:00:00Z", "energy_wh": 5},
                     {"at": "2025-03-04T09:00:00Z", "energy_wh": 9005}],
    }  # fmt: skip
    (served / "own.json").write_text(json.dumps({"sessions": [ours, ours | {"session_id": ""}]}))
    code, found = await _import(served, "own.json", capsys, mapped=False)
    assert (code, _figures(found)) == (1, (1, 0, 1, 9_000))
    assert found["rejections"][0]["path"] == "$.sessions[1].session_id"

    cdr = {
        "id": "C-1", "currency": "USD", "start_date_time": "2025-03-05T08:00:00Z",
        "end_date_time": "2025-03-05T09:00:00Z", "cdr_token": {"uid": "04D4E5F6"},
        "cdr_location": {"evse_uid": "DEPOT-01"}, "total_energy": 3.5,
        "charging_periods": [{"start_date_time": "2025-03-05T08:00:00Z",
                              "dimensions": [{"type": "ENERGY", "volume": 3.5}]}],
    }  # fmt: skip
    (served / "cdrs.json").write_text(json.dumps([cdr, cdr | {"id": "C-2", "credit": True}]))
    code, found = await _import(served, "cdrs.json", capsys, "--format", "ocpi", mapped=False)
    assert (code, _figures(found)) == (1, (1, 0, 1, 3_500))
    assert (found["rejections"][0]["id"], found["rejections"][0]["path"]) == ("C-2", "$[1].credit")
    rows = await _sessions(work)
    assert [(row["source"], row["route"]) for row in rows] == [
        ("import", "external"), ("import", "invoice"), ("ocpi", "invoice"),
    ]  # fmt: skip


# Each row of one file: what is wrong with it, and where.
BAD = {
    "1;04A1B2C3;One;03.03.2025 08:00;03.03.2025 09:00;10,6;;": "$",
    "2;04A1B2C3;One;2025-03-03;03.03.2025 09:00;10;;": "$.started_at",
    "3;04A1B2C3;One;09.03.2025 02:30;09.03.2025 09:00;10;;": "$.started_at",
    "4;04A1B2C3;One;03.11.2024 01:30;03.11.2024 09:00;10;;": "$.started_at",
    "5;04A1B2C3;One;03.03.2025 10:00;03.03.2025 09:00;10;;": "$.ended_at",
    "6;04A1B2C3;One;;03.03.2025 09:00;10;;": "$.started_at",
    "7;04A1B2C3;One;03.03.2025 08:00;03.03.2025 09:00;10.5;;": "$.readings[1].energy_wh",
    "8;04A1B2C3;One;03.03.2025 08:00;03.03.2025 09:00;ten;;": "$.readings[1].energy_wh",
    "9;04A1B2C3;One;03.03.2025 08:00;03.03.2025 09:00;-1;;": "$.readings[1].energy_wh",
    "10;04A1B2C3;One;03.03.2025 08:00;03.03.2025 09:00;;;": "$.readings[1].energy_wh",
    "11;04A1B2C3;Here;03.03.2025 08:00;03.03.2025 09:00;10;;": "$.charge_point_id",
    "12;04A1B2C3;Gone;03.03.2025 08:00;03.03.2025 09:00;10;;": "$.charge_point_id",
    "13;;One;03.03.2025 08:00;03.03.2025 09:00;10;;": "$.token",
    "14;NOBODY;One;03.03.2025 08:00;03.03.2025 09:00;10;;": "$.token",
    "15;04A1B2C3;One;03.03.2025 08:00": "line 16",
    "16;04A1B2C3;One;03.03.2025 08:00;03.03.2025 09:00;10;;\xff": "line 17",
    "17;NOBODY;One;03.03.2025 08:00;03.03.2025 09:00;10;R-1;1,234": "$.external.amount_minor",
    "18;NOBODY;One;03.03.2025 08:00;03.03.2025 09:00;10;R-1;": "$.external.amount_minor",
    "19;04A1B2C3;One;03.03.2014 08:00;03.03.2014 09:00;10;;": "$.started_at",
    "20;04A1B2C3;One;03.01.2025 08:00;03.03.2025 09:00;10;;": "$.ended_at",
    f"{'x' * 65};04A1B2C3;One;03.03.2025 08:00;03.03.2025 09:00;10;;": "$.session_id",
}


async def test_every_reason_is_told_and_stops_no_other(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a database a dry run reads the configuration, and makes no database."""
    (home / "a.csv").write_bytes("\n".join([HEADER, *BAD, GOOD]).encode("latin-1"))
    first = next(iter(BAD))
    (home / "a.csv").write_bytes(
        (home / "a.csv").read_bytes().replace(first.encode(), GOOD.encode(), 1)
    )
    (home / "a.csv").write_bytes((home / "a.csv").read_bytes() + b"\n" + first.encode())
    code, found = await _import(home, "a.csv", capsys, "--dry-run")
    told = {r["place"]: r["path"] for r in found["rejections"]}
    wanted = {f"line {n}": path for n, path in enumerate(BAD.values(), 2) if n > 2}
    assert told == {**wanted, f"line {len(BAD) + 3}": "$"}
    assert (code, _figures(found)) == (1, (1, 1, len(BAD), 10_500))
    assert all(r["to_do"] and r["expected"] for r in found["rejections"])
    assert "no database yet" in found["note"]
    assert sorted(os.listdir(home)) == ["a.csv", "map.toml", "wattledger.toml"]
    code, found = await _import(home, "a.csv", capsys, "--dry-run", "--rejected",
                                str(home / "out.csv"))  # fmt: skip
    assert len((home / "out.csv").read_bytes().splitlines()) == 1 + len(BAD)


async def test_a_report_is_in_the_letters_of_its_file(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was refused once is refused for the same reason when the report is read again."""
    (home / "map.toml").write_text('encoding = "windows-1252"\n' + MAPPING)
    row = GOOD.replace("04A1B2C3", "Zoë\u20ac")
    (home / "a.csv").write_bytes("\n".join([HEADER, row]).encode("windows-1252"))
    name, report = "a.csv", "b.csv"
    for _ in range(2):
        code, found = await _import(home, name, capsys, "--dry-run", "--rejected",
                                    str(home / report))  # fmt: skip
        assert (code, [r["got"] for r in found["rejections"]]) == (1, ["'Zoë€'"])
        assert row.encode("windows-1252") in (home / report).read_bytes()
        name, report = report, "c.csv"


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", [], "line 1: got 'an empty file'"),
        (HEADER, [], "at least one"),
        (HEADER.replace("Card", "card"), [], "one column 'Card', for session.token of the mapping"),
        (HEADER.replace(";", ","), [], "the delimiter is ';'"),
        (f"{HEADER};Id", [], "one column 'Id'"),
        ("{", ["--format", "json"], "JSON"),
        ("7", ["--format", "ocpi"], "$: got '7', expected JSON"),
        (GOOD, ["--ocpi-version", "3"], "version"),
    ],
)  # fmt: skip
async def test_of_what_nothing_can_be_read(
    home: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], said: str
) -> None:
    (home / "a.csv").write_text(text)
    code, found = await _import(home, "a.csv", capsys, "--dry-run", *options)
    assert (code, said in found["error"]) == (2, True), found


async def test_the_command_line_says_what_is_missing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "a.csv").write_text(GOOD)
    code, found = await _import(home, "a.csv", capsys, mapped=False)
    assert (code, "--mapping" in found["error"]) == (2, True)
    code, found = await _import(home, "a.txt", capsys, mapped=False)
    assert (code, "--format" in found["error"]) == (2, True)
    code, found = await _import(home, "b.csv", capsys, "--dry-run")
    assert (code, "no such file" in found["error"]) == (2, True)


async def test_a_bar_is_drawn_on_a_terminal_only(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "a.csv").write_text("\n".join([HEADER, GOOD]))
    given = ["import", str(home / "a.csv"), "--config", str(home / "wattledger.toml"),
             "--mapping", str(home / "map.toml"), "--dry-run"]  # fmt: skip
    monkeypatch.setattr(importing, "_BAR_AFTER_S", -1)
    assert await asyncio.to_thread(main, given) == 0
    assert capsys.readouterr().err == ""
    drawn: list[int] = []
    monkeypatch.setattr(importing, "_is_terminal", lambda: True)
    monkeypatch.setattr(importing.Progress, "start", lambda self: drawn.append(1))
    assert await asyncio.to_thread(main, given) == 0
    assert drawn == [1]
    assert "1 session would be taken, 10.500 kWh." in capsys.readouterr().out
