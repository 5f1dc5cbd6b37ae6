"""A mapping and what it makes of rows: exact numbers, times that are no guess, rows one by one."""

from __future__ import annotations

import contextlib
import io
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattledger.errors import BadInput
from wattledger.sessions import sent
from wattledger.wire.mapped import Mapper, walk
from wattledger.wire.mapping import columns, read_mapping
from wattledger.wire.tables import CsvFile

SESSION = """
[session]
session_id = "id"
token = "card"
charge_point_id = { value = "CP" }
started_at = "from"
ended_at = "to"
"""
ENERGY = f'{SESSION}energy = "e"\n'
ROW = {"id": "1", "card": "T", "from": "2025-03-03T08:00Z", "to": "2025-03-03T09:00Z", "e": "1"}


def _mapper(text: str) -> Mapper:
    return Mapper(read_mapping(text.encode()))


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("[session", "$", "a mapping: TOML in UTF-8"),
        ("", "$", "the keys session"),
        ('colour = "red"\n' + ENERGY, "$", "the keys session, reading"),
        (ENERGY.replace("card", "card\ncard"), "$", "a mapping"),
        ('format = "xls"\n' + ENERGY, "$.format", "one of csv, json"),
        ('delimiter = ";;"\n' + ENERGY, "$.delimiter", "text in quotes"),
        ('unit = "MWh"\n' + ENERGY, "$.unit", "one of Wh, kWh"),
        ('time_zone = "Mars"\n' + ENERGY, "$.time_zone", "an IANA time zone"),
        ('thousands = "."\n' + ENERGY, "$.thousands", "another sign than decimal"),
        ('time_format = "%"\n' + ENERGY, "$.time_format", "one such as %d.%m.%Y"),
        ('encoding = "ebcdic-9"\n' + ENERGY, "$.encoding", "one such as utf-8"),
        (SESSION, "$.session.energy", "energy, or meter_start and meter_stop"),
        (ENERGY + 'meter_start = "a"\nmeter_stop = "b"\n', "$.session.energy", "energy, or"),
        (ENERGY.replace('token = "card"', ""), "$.session.token", "the column or path"),
        (ENERGY.replace('started_at = "from"', ""), "$.session.started_at", "the column or path"),
        (ENERGY + 'external_amount = "a"\n', "$.session.external_reference", "all three of"),
        (ENERGY + '[state]\nstate = "s"\n', "$.state.at", "the column or path"),
        (SESSION + '[reading]\nat = "t"\n', "$.reading.energy", "the column or path"),
        (ENERGY + "connector_id = {}\n", "$.session.connector_id", "from, or value"),
        (ENERGY + 'connector_id = { from = "a", value = "1" }\n', "$.session.connector_id",
         "from, or value"),
        (ENERGY + 'connector_id = { frm = "a" }\n', "$.session.connector_id", ""),
    ],
)  # fmt: skip
def test_a_mapping_that_can_not_be_is_told_where(text: str, path: str, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_mapping(text.encode())
    assert caught.value.path == path
    assert expected in caught.value.expected


def test_fields_are_columns_constants_maps_prefixes_and_defaults() -> None:
    text = ENERGY.replace('"id"', '{ from = "id", prefix = "A-" }') + (
        'connector_id = { from = "plug", map = { left = "1", right = "2" }, default = "left" }\n'
    )
    mapper = _mapper(text)
    found = mapper.session([{**ROW, "plug": " right "}])
    assert (found["session_id"], found["charge_point_id"], found["connector_id"]) == (
        "A-1",
        "CP",
        2,
    )
    assert mapper.session([{**ROW, "plug": ""}])["connector_id"] == 1
    with pytest.raises(BadInput, match=r"connector_id: got 'top', expected .*\(left, right\)"):
        mapper.session([{**ROW, "plug": "top"}])
    assert set(columns(mapper.mapping)) == {"id", "card", "from", "to", "e", "plug"}
    assert sent.read(found, "$").energy_wh == 1


@pytest.mark.parametrize(
    ("options", "text", "wh"),
    [
        ("", "12.5", "12.5"),
        ('unit = "kWh"', "12.5", "12500"),
        ('unit = "kWh"\ndecimal = ","', "12,5", "12500"),
        ('unit = "kWh"\ndecimal = ","\nthousands = "."', "1.012,5", "1012500"),
        ('thousands = "\'"', "1'012.5", "1012.5"),
        ('decimal = ","', "12.5", None),
        ("", "12,5", None),
        ("", "NaN", None),
        ("", "1e999999", None),
        ("", "0x10", None),
    ],
)
def test_numbers(options: str, text: str, wh: str | None) -> None:
    mapper = _mapper(options + ENERGY)
    if wh is None:
        with pytest.raises(BadInput) as caught:
            mapper.session([{**ROW, "e": text}])
        assert caught.value.path == "$.readings[1].energy_wh"
        return
    found = mapper.session([{**ROW, "e": text}])
    assert [r["energy_wh"] for r in found["readings"]] == [0, Decimal(wh)]


NEW_YORK = 'time_zone = "America/New_York"\ntime_format = "%d.%m.%Y %H:%M"\n'


@pytest.mark.parametrize(
    ("options", "text", "at"),
    [
        ("", "2025-03-03T08:00:00+01:00", "2025-03-03T07:00:00Z"),
        ("", "2025-03-03T08:00:00", None),
        ('time_zone = "Europe/Berlin"\n', "2025-03-03T08:00:00", "2025-03-03T07:00:00Z"),
        ('time_zone = "Europe/Berlin"\n', "2025-03-03T08:00:00Z", "2025-03-03T08:00:00Z"),
        ('time_format = "unix"\n', "1741000000", "2025-03-03T11:06:40Z"),
        ('time_format = "unix_ms"\n', "1741000000500", "2025-03-03T11:06:40.500000Z"),
        (NEW_YORK, "03.03.2025 08:00", "2025-03-03T13:00:00Z"),
        (NEW_YORK, "2025-03-03 08:00", None),
        # The clock goes forward over it, and back over the other.
        (NEW_YORK, "09.03.2025 02:30", None),
        (NEW_YORK, "02.11.2025 01:30", None),
        ('ambiguous = "earlier"\n' + NEW_YORK, "02.11.2025 01:30", "2025-11-02T05:30:00Z"),
        ('ambiguous = "later"\n' + NEW_YORK, "02.11.2025 01:30", "2025-11-02T06:30:00Z"),
        ('ambiguous = "later"\n' + NEW_YORK, "09.03.2025 02:30", None),
        ('time_format = "unix"\n', "1e30", None),
        ("", "9999-12-31T23:59:59-01:00", None),
        ('time_zone = "Asia/Kathmandu"\n', "0001-01-01", None),
        (NEW_YORK, "31.12.9999 23:59", None),
    ],
)
def test_times(options: str, text: str, at: str | None) -> None:
    mapper = _mapper(options + ENERGY.replace('"to"', '{ from = "to", default = "" }'))
    row = {**ROW, "from": text, "to": text}
    if at is None:
        with pytest.raises(BadInput) as caught:
            mapper.session([row])
        assert caught.value.path == "$.started_at"
        return
    assert mapper.session([row])["started_at"] == at


def test_registers_are_kept_and_energy_counts_from_zero() -> None:
    text = SESSION + 'meter_start = "a"\nmeter_stop = "b"\n'
    mapper = _mapper(text)
    found = mapper.session([{**ROW, "a": "1000", "b": "3500"}])
    assert [r["energy_wh"] for r in found["readings"]] == [1000, 3500]
    assert (mapper.relative, _mapper(ENERGY).relative) == (False, True)
    with pytest.raises(BadInput) as caught:
        mapper.session([{**ROW, "a": "3500", "b": "1000"}])
    assert caught.value.path == "$.readings[1].energy_wh"
    # Charging was over before the car left: the register stands at the stop.
    mapper = _mapper(ENERGY + 'finished_at = "over"\n')
    found = mapper.session([{**ROW, "over": "2025-03-03T08:30Z"}])
    assert found["states"] == [{"at": "2025-03-03T08:30:00Z", "state": "finished"}]
    session = sent.read(found, "$")
    assert session.readings[1].at == session.stopped_at
    assert session.unplugged_at is not None


@pytest.mark.parametrize(
    ("path", "found"),
    [("a.b[1].c", 7), ("a.b[2].c", None), ("a.x", None), ("a.b.c", None), ("a.b", [0, {"c": 7}]),
     ("d.e", "whole"), ("z[0]", None)],
)  # fmt: skip
def test_a_path_into_json(path: str, found: Any) -> None:
    assert walk({"a": {"b": [0, {"c": 7}]}, "d.e": "whole"}, path) == found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=20), st.sampled_from([".", ","]))
def test_the_energy_of_a_file_is_the_energy_of_its_sessions(wh: list[int], sign: str) -> None:
    """However it is written, kWh with three places are whole Wh: nothing is lost or added."""
    rows = [f"{i};{n // 1000}{sign}{n % 1000:03d}" for i, n in enumerate(wh)]
    text = "\n".join(["id;e", *rows]).encode()
    mapping = read_mapping(
        f'delimiter = ";"\ndecimal = "{sign}"\nunit = "kWh"\n'
        '[session]\nsession_id = "id"\nenergy = "e"\ntoken = { value = "T" }\n'
        'charge_point_id = { value = "CP" }\n'
        'started_at = { value = "2025-03-03T08:00Z" }\n'
        'ended_at = { value = "2025-03-03T09:00Z" }\n'.encode()
    )
    mapper = Mapper(mapping)
    table = CsvFile(io.BytesIO(text), mapping, columns(mapping))
    sessions = [sent.read(mapper.session([row.cells]), "$") for row in table.rows()]
    assert [session.energy_wh for session in sessions] == wh
    assert sum(session.energy_wh for session in sessions) == sum(wh)


def test_rows_come_one_at_a_time() -> None:
    """A file that is longer than its first rows need is not read to its end for them."""
    mapping = read_mapping(ENERGY.encode())
    raw = b"\xef\xbb\xbfid,card,from,to,e\n" + b'"1","a\nb",x,y,1\n' + b"2,c,x,y,1\n" * 100_000
    table = CsvFile(io.BytesIO(raw), mapping, columns(mapping))
    assert table.header[0] == "id"
    rows = table.rows()
    assert [(row.line, row.cells["card"]) for row in (next(rows), next(rows))] == [
        (2, "a\nb"), (4, "c"),
    ]  # fmt: skip
    assert table.bytes_read < len(raw) // 10
    assert sum(1 for _ in rows) == 100_000 - 1


_ODD = ["2025-03-03T08:00Z", "1e400", "0001-01-01", "9999-12-31T23:59", "-0", "1.5"]
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=8)
    | st.sampled_from(_ODD),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("tes"), inner),
    max_leaves=4,
)  # fmt: skip
_PAID = 'external_reference = "id"\nexternal_amount = "e"\nexternal_currency = "card"\n'
_OPTIONS = (
    "", 'time_format = "unix"\n', 'time_zone = "Asia/Kathmandu"\ndecimal = ","\n',
    'time_format = "%d %H"\ntime_zone = "Europe/Paris"\n',
)  # fmt: skip
_NESTED = """
[session]
token = "card"
evse_id = "id"
[reading]
items = "e"
at = "t"
energy = "e"
[state]
items = "from"
at = "t"
state = "s"
"""
_MAPPINGS = [*(options + ENERGY + _PAID for options in _OPTIONS), _NESTED]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(_MAPPINGS), st.fixed_dictionaries(dict.fromkeys(ROW, _ANY)))
def test_whatever_a_row_says_it_is_read_or_refused(text: str, row: dict[str, Any]) -> None:
    with contextlib.suppress(BadInput):
        sent.read(_mapper(text).session([row]), "$")
