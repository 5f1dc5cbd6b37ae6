"""``wattledger price``, ``explain``, ``lint``, ``tariff convert``: output, errors, exit codes."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from wattledger.cli.main import main
from wattledger.rating import encode
from wattledger.rating.inputs import price_file
from wattledger.tariffs import Policies
from wattledger.tariffs.formats import FORMATS, read_any_list

EXAMPLES = Path(__file__).parents[2] / "examples" / "pricing"
SESSION = str(EXAMPLES / "session.json")
SESSION_30_KWH = str(EXAMPLES / "session-30-kwh.json")
SESSION_30_MIN = str(EXAMPLES / "session-30-min.json")
CDR = str(EXAMPLES / "cdr-ocpi-2.2.1.json")
CDRS = str(EXAMPLES / "cdrs.json")
TIME_OF_USE = str(EXAMPLES / "time-of-use.toml")
PER_KWH = str(EXAMPLES / "per-kwh.toml")
PER_MINUTE = str(EXAMPLES / "per-minute.toml")
OCPI = str(EXAMPLES / "tariff-ocpi-2.3.0.json")
OCPP = str(EXAMPLES / "tariff-ocpp-2.1.json")
LINE = {
    "dimension", "quantity", "billed_quantity", "unit", "unit_price", "before_taxes", "taxes",
    "after_taxes", "element", "why",
}  # fmt: skip
SIDES = ("before_taxes", "taxes", "after_taxes")


class Ran:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "80")

    def go(*arguments: str, stdin: bytes | None = None) -> Ran:
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return go


def refused(ran: Ran, code: int, *parts: str) -> None:
    """One line on standard error that has all the parts, and nothing else anywhere."""
    assert ran.code == code, ran.err
    assert ran.err.startswith("wattledger: ")
    assert ran.err.count("\n") == 1
    assert ran.err.endswith("\n")
    for part in parts:
        assert part in ran.err
    assert "Traceback" not in ran.err


def total(ran: Ran) -> str:
    assert ran.code == 0, ran.err
    after: str = ran.json["total"]["after_taxes"]
    return after


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def to_file(content: Any, name: str = "file.json") -> str:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return to_file


Write = Callable[..., str]


def session(*readings: tuple[str, int], ended: str, idle: str | None = None) -> dict[str, Any]:
    """On one day in UTC; idle from then on."""

    def at(clock: str) -> str:
        return f"2026-07-01T{clock}:00Z"

    states = [{"at": at(readings[0][0]), "state": "charging"}]
    states += [{"at": at(idle), "state": "suspended_ev"}] if idle else []
    return {
        "session_id": "s", "location": {"time_zone": "UTC"}, "states": states,
        "started_at": at(readings[0][0]), "ended_at": at(ended),
        "readings": [{"at": at(clock), "energy_wh": wh} for clock, wh in readings],
    }  # fmt: skip


def tariff(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "t", "currency": "USD", "elements": list(elements), **more}


def priced_at(dimension: str, price: str, unit: str, **restrictions: Any) -> dict[str, Any]:
    component = {"dimension": dimension, "price": price, "unit": unit}
    return {"components": [component], "restrictions": restrictions}


# --- figures computed by hand ----------------------------------------------------------------


def test_thirty_minutes_and_a_fee(run: Run) -> None:
    # 30 min x 0.30 + 1.00; the clock starts with the first energy, a pause is never billed.
    given = ("price", SESSION_30_MIN, "--tariff", PER_MINUTE, "--json")
    assert total(run(*given)) == "10.00"
    # From plugging in: 4 minutes more at 0.30.
    assert total(run(*given, "--policy", "clock_starts=plug_in")) == "11.20"


def test_idle_after_a_grace_and_a_member(run: Run) -> None:
    given = ("price", SESSION_30_KWH, "--tariff", PER_KWH, "--json")
    # 30 kWh x 0.48 + (25 - 10) min x 0.40
    assert total(run(*given)) == "20.40"
    # 30 kWh x 0.48 x 0.75 + 15 min x 0.40
    assert total(run(*given, "--discount", "25:energy")) == "16.80"
    # ... and off both: 20.40 x 0.75
    assert total(run(*given, "--discount", "25")) == "15.30"
    # 20 kWh of 30 are included: 10 kWh x 0.48 + 6.00
    assert total(run(*given, "--allowance", "energy=20kWh")) == "10.80"
    # and 5 of the 15 idle minutes: 14.40 + 4.00
    assert total(run(*given, "--allowance", "idle_time=5min")) == "18.40"
    # 20.40 + 0.35
    assert total(run(*given, "--fee", "Card fee=0.35")) == "20.75"
    # 20.40 x 1.1, and 30 kWh x 0.02
    assert total(run(*given, "--tax", "Sales tax=10", "--tax", "Excise=0.02/kWh")) == "23.04"


def test_a_grace_is_deducted_or_waived(run: Run, write: Write) -> None:
    idle_6_min = write(session(("10:00", 0), ("10:30", 5000), ended="10:36", idle="10:30"))
    prices = write(tariff(priced_at("idle_time", "0.50", "minute")), "t.json")
    given = ("price", idle_6_min, "--tariff", prices, "--policy", "idle_grace_s=300", "--json")
    assert total(run(*given, "--policy", "idle_grace=deduct")) == "0.50"
    assert total(run(*given, "--policy", "idle_grace=waive_if_within")) == "3.00"
    ran = run(*given)
    assert ran.json["policies"]["idle_grace_s"] == 300


def test_a_minimum_and_a_release(run: Run, write: Write) -> None:
    by_kwh = write(
        tariff(priced_at("energy", "0.47", "kWh"), min_price={"before_taxes": "3.00"}), "t.json"
    )
    policies = ("--policy", "zero_energy=release", "--policy", "floor_s=300", "--json")

    def of(**given: Any) -> Ran:
        end = given["ended"]
        file = write(session(("10:00", 0), (end, given["wh"]), ended=end))
        return run("price", file, "--tariff", by_kwh, *policies)

    assert total(of(wh=10_000, ended="11:00")) == "4.70"  # 10 kWh x 0.47
    assert total(of(wh=2_000, ended="11:00")) == "3.00"  # 0.94, and the minimum
    released = of(wh=0, ended="10:05")
    assert total(released) == "0.00"
    assert "no energy" in released.json["free_reason"]
    assert total(of(wh=0, ended="10:06")) == "3.00"  # longer than 5 minutes


# --- price -----------------------------------------------------------------------------------


def check_contract(found: dict[str, Any], places: int = 2) -> None:
    assert {"currency", "exact", "total", "lines", "periods", "policies", "warnings"} <= set(found)
    for side in SIDES:
        assert len(found["exact"][side].partition(".")[2]) == 12
        assert len(found["total"][side].partition(".")[2]) == places
        assert sum(Decimal(line[side]) for line in found["lines"]) == Decimal(found["total"][side])
    for line in found["lines"]:
        assert set(line) >= LINE
    assert set(found["policies"]) == set(Policies.__struct_fields__)


@pytest.mark.parametrize(
    "given",
    [
        (SESSION, "--tariff", TIME_OF_USE),
        (SESSION, "--tariff", TIME_OF_USE, "--tax", "Sales tax=8.875"),
        (SESSION, "--tariff", OCPI, "--policy", "rounding_increment=5"),
        (SESSION_30_KWH, "--tariff", OCPP),
        (SESSION_30_MIN, "--tariff", PER_MINUTE),
        (CDR,),
        (CDR, "--policy", "step_rounding=down"),
    ],
)
def test_the_json_is_as_documented(run: Run, given: tuple[str, ...]) -> None:
    ran = run("price", *given, "--json")
    assert (ran.code, ran.err) == (0, "")
    check_contract(ran.json)


def test_a_cdr_is_priced_and_its_differences_are_told(run: Run) -> None:
    # 12.45 x 0.39 + 8.2 x 0.49 + 45 min x 6.00/h = 4.8555 + 4.018 + 4.50
    ran = run("price", CDR, "--json")
    assert ran.json["exact"]["before_taxes"] == "13.373500000000"
    assert ran.json["differences"][0] == {
        "path": "$.total_cost.excl_vat", "stated": "13.07", "priced": "13.373500000000",
        "difference": "+0.3035",
    }  # fmt: skip
    told = run("price", CDR)
    assert told.code == 0
    assert "The record states other totals" in told.out
    assert "$.total_cost.excl_vat   13.07  13.373500000000     +0.3035" in told.out


def test_standard_input(run: Run) -> None:
    for arguments, name in (
        (("price", "-", "--tariff", TIME_OF_USE), SESSION),
        (("price", SESSION, "--tariff", "-"), TIME_OF_USE),
        (("explain", "-", "--tariff", TIME_OF_USE), SESSION),
        (("lint", "-"), TIME_OF_USE),
        (("tariff", "convert", "-", "--to", "wattledger"), TIME_OF_USE),
    ):
        assert run(*arguments, stdin=Path(name).read_bytes()).code == 0
    refused(run("price", "-", "--tariff", "-", stdin=b""), 2, "--tariff")
    refused(run("price", "-", stdin=b""), 2, "standard input: $")


def test_a_file_with_a_byte_order_mark(run: Run, write: Write) -> None:
    marked = write(b"\xef\xbb\xbf" + Path(SESSION).read_bytes())
    assert run("price", marked, "--tariff", TIME_OF_USE).code == 0


def test_several_records(run: Run, write: Write) -> None:
    ran = run("price", CDRS, "--json")
    first, second, third = ran.json
    assert ran.code == 3
    assert (first["session_id"], second["total"]["after_taxes"]) == ("CDR-1001", "3.00")
    assert third["code"] == "no_valid_tariff"
    assert third["path"] == "$[2]"
    assert ran.err.count("\n") == 1
    told = run("price", CDRS)
    assert told.code == 3
    assert "\n3 records: 2 priced, €15.91, $3.00; 1 not priceable" in told.out
    assert max(map(len, told.out.splitlines())) <= 80
    records = json.loads(Path(CDRS).read_text())
    # What can't even be taken is worse, and keeps nobody waiting.
    broken = write([records[0], 5, records[2]])
    ran = run("price", broken, "--json")
    assert ran.code == 2
    assert [("error" in each) for each in ran.json] == [False, True, True]
    assert "$[1]: got 5" in ran.err
    enveloped = write({"data": records[:2], "status_code": 1000, "timestamp": "2026-07-01"})
    assert [each["session_id"] for each in run("price", enveloped, "--json").json] == [
        "CDR-1001", "CDR-2002",
    ]  # fmt: skip
    assert run("price", write({"data": records[0]}), "--json").json["session_id"] == "CDR-1001"
    assert len(run("price", write(records[:1]), "--json").json) == 1


def test_a_long_list_says_how_far_it_is(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads(Path(CDR).read_text())
    ticks: Iterator[float] = iter(range(0, 1000, 3))
    monkeypatch.setattr("wattledger.cli.pricing.time.monotonic", lambda: next(ticks))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    ran = run("price", write([record] * 3), "--json")
    assert "2 of 3" in ran.err
    assert len(ran.json) == 3


def test_what_was_not_read_of_a_tariff_is_told(run: Run, write: Write) -> None:
    body = json.loads(Path(OCPI).read_text()) | {"colour": "green"}
    ran = run("price", SESSION, "--tariff", write(body), "--json")
    assert ran.json["warnings"][0].endswith("file.json: $.colour: unknown field, not read")
    assert "Note:" in run("price", SESSION, "--tariff", write(body)).out


def test_the_first_valid_version_of_a_tariff_counts(run: Run, write: Write) -> None:
    old = tariff(priced_at("energy", "0.10", "kWh"), valid_to="2026-01-01T00:00:00Z")
    new = tariff(
        priced_at("energy", "9.00", "kWh", start_time="01:00", end_time="02:00"),
        priced_at("energy", "0.20", "kWh"), valid_from="2026-01-01T00:00:00Z",
    )  # fmt: skip
    both = ("--tariff", write(old, "old.json"), "--tariff", write(new, "new.json"))
    ran = run("price", SESSION_30_KWH, *both, "--json")
    assert total(ran) == "6.00"
    assert ran.json["lines"][0]["element"] == 1


def test_names_from_files_give_a_terminal_no_orders(run: Run, write: Write) -> None:
    told = json.loads(Path(SESSION).read_text()) | {"session_id": "a\x1b[2J\nb"}
    ran = run("price", write(told), "--tariff", TIME_OF_USE)
    assert "\x1b" not in ran.out


def test_cost_and_margin(run: Run, write: Write) -> None:
    given = ("price", SESSION, "--tariff", TIME_OF_USE, "--json", "--cost")
    utility = str(EXAMPLES / "utility.toml")
    # 16.150 kWh until 17:00 x 0.11 + 7.600 kWh after it x 0.28 = 1.7765 + 2.128
    found = run(*given, utility).json["cost"]
    assert found == {
        "energy": "3.90", "energy_exact": "3.904500000000", "margin": "15.09", "currency": "USD",
    }  # fmt: skip
    urdb = write({
        "label": "flat", "name": "Flat", "energyratestructure": [[{"rate": 0.1}]],
        "energyweekdayschedule": [[0] * 24] * 12, "energyweekendschedule": [[0] * 24] * 12,
        "flatdemandstructure": [[{"rate": 8}]], "flatdemandmonths": [0] * 12,
        "flatdemandunit": "kW",
    })  # fmt: skip
    ran = run(*given, urdb)
    assert ran.json["cost"]["energy_exact"] == "2.375000000000"
    prices = (str(EXAMPLES / "prices.csv"), "--cost-per", "MWh", "--cost-currency")
    # Each quarter of an hour at its own price: 1923561 Wh x $/MWh in all.
    assert run(*given, *prices, "USD").json["cost"]["energy_exact"] == "1.923561000000"
    refused(run(*given[:4], "--cost", *prices, "EUR"), 2, "--cost", "EUR", "USD")
    # A CDR by its periods: 12.45 kWh x 0.10, and 8.2 kWh x 0.20 from 16:00 on.
    hours = write(
        "start,price\n2026-07-01T15:00:00+01:00,0.1\n2026-07-01T16:00:00+01:00,0.1\n"
        "2026-07-01T17:00:00+01:00,0.2\n2026-07-01T18:00:00+01:00,0.2\n",
        "hours.csv",
    )
    given_cdr = ("price", CDR, "--cost", hours, "--cost-currency", "EUR")
    assert run(*given_cdr, "--json").json["cost"]["energy_exact"] == "2.885000000000"
    assert "  cost of energy          €2.89" in run(*given_cdr).out
    refused(run(*given[:4], "--cost", PER_KWH), 2, "per-kwh.toml: $.elements")
    refused(run(*given[:4], "--cost", SESSION), 2, "session.json: $")
    late = Path(EXAMPLES / "prices.csv").read_text().replace("2026-07-01", "2026-07-02")
    ran = run(*given[:4], "--cost", write(late, "late.csv"), "--cost-currency", "USD")
    # The bill is right all the same.
    assert ran.code == 0
    assert "no price of energy" in ran.out + ran.err
    assert "cost of energy" not in ran.out


# --- bad input -------------------------------------------------------------------------------

GOOD = json.loads(Path(SESSION).read_text())
BAD_FILES = {
    "empty": b"",
    "binary": bytes(range(256)),
    "a number": b"5",
    "null": b"null",
    "nothing": b"{}",
    "no records": b"[]",
    "no data": b'{"data": null}',
    "deep": b"[" * 100_000,
    "deeper": b'{"a":' * 100_000,
    "cut off": Path(SESSION).read_bytes()[:300],
    "NaN": Path(SESSION).read_bytes().replace(b"1207950", b"NaN"),
    "1e999999": Path(SESSION).read_bytes().replace(b"1207950", b"1e999999"),
    "naive": json.dumps(GOOD | {"started_at": "2026-07-01T15:30:00"}).encode(),
    "a zone": json.dumps(GOOD | {"location": {"time_zone": "Mars/Base"}}).encode(),
    "twice": Path(SESSION).read_bytes().replace(b"{", b'{"session_id": "x", ', 1),
    "UTF-16": Path(SESSION).read_text().encode("utf-16"),
    "a tariff": Path(OCPI).read_bytes(),
    "TOML": Path(TIME_OF_USE).read_bytes(),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", ["price", "explain"])
def test_a_file_that_can_not_be_taken(run: Run, write: Write, command: str, name: str) -> None:
    file = write(BAD_FILES[name])
    refused(run(command, file, "--tariff", TIME_OF_USE), 2, f"{file}: ", "got ", "expected ")


@pytest.mark.parametrize(
    "given",
    [
        ("price", "none.json"),
        ("price", str(EXAMPLES)),
        ("price", "a\0b"),
        ("price", SESSION, "--tariff", "none.toml"),
        ("price", SESSION, "--tariff", str(EXAMPLES)),
        ("price", SESSION, "--tariff", SESSION),
        ("price", SESSION, "--tariff", CDR),
        ("price", SESSION, "--tariff", TIME_OF_USE, "--cost", "none.csv"),
        ("explain", "none.json"),
        ("lint", "none.toml"),
        ("lint", str(EXAMPLES)),
        ("lint", SESSION),
        ("tariff", "convert", "none.toml", "--to", "ocpp-2.1"),
        ("tariff", "convert", SESSION, "--to", "ocpp-2.1"),
        ("tariff", "convert", PER_KWH, "--to", "ocpp-2.1", "-o", "none/at/all.json"),
    ],
)
def test_a_file_that_is_not_there_or_something_else(run: Run, given: tuple[str, ...]) -> None:
    ran = run(*given)
    if "-o" in given:
        ran.err = "".join(line for line in ran.err.splitlines(True) if "warning" not in line)
    refused(ran, 2, ": got ", ", expected ")
    assert ran.out == ""


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--policy", "zero", "NAME=VALUE"),
        ("--policy", "rules=mine", "the name of a policy: rounding, "),
        ("--policy", "zero_energy=free", "zero_energy one of release, idle_only, minimum"),
        ("--policy", "floor_wh=-1", "whole number"),
        ("--policy", "floor_wh=" + "9" * 5000, "whole number"),
        ("--policy", "idle_after_stop=yes", "true or false"),
        ("--time-zone", "Mars/Base", "IANA"),
        ("--time-zone", "America", "IANA"),
        ("--time-zone", "../../etc", "IANA"),
        ("--time-zone", "", "IANA"),
        ("--tax", "19", "NAME=PERCENT"),
        ("--tax", "VAT=NaN", "percentage"),
        ("--tax", "VAT=101", "percentage"),
        ("--tax", "Excise=-1/kWh", "amount"),
        ("--discount", "x", "percentage"),
        ("--discount", "25:fun", "one of energy"),
        ("--allowance", "energy", "DIMENSION=QUANTITY"),
        ("--allowance", "energy=5min", "Wh or kWh"),
        ("--allowance", "flat=1kWh", "counted"),
        ("--allowance", "energy=0.0001kWh", "whole number"),
        ("--fee", "Card", "TEXT=AMOUNT"),
        ("--fee", "Card=free", "amount"),
    ],
)
def test_an_option_that_can_not_be_taken(run: Run, option: str, value: str, says: str) -> None:
    refused(run("price", SESSION, "--tariff", TIME_OF_USE, option, value), 2, option, says)
    policies = ("--policy", "floor_wh=1", "--policy", "floor_wh=2")
    refused(run("price", SESSION, "--tariff", TIME_OF_USE, *policies), 2, "once only")


def test_what_can_not_be_priced_ends_with_3(run: Run, write: Write) -> None:
    refused(run("price", SESSION), 3, "--tariff FILE")
    homeless = {key: value for key, value in GOOD.items() if key != "location"}
    refused(run("price", write(homeless), "--tariff", TIME_OF_USE), 3, "--time-zone")
    zone = ("--time-zone", "America/New_York")
    assert run("price", write(homeless), "--tariff", TIME_OF_USE, *zone).code == 0
    later = tariff(priced_at("energy", "1", "kWh"), valid_from="2030-01-01T00:00:00Z")
    refused(run("price", SESSION, "--tariff", write(later)), 3, "no tariff is valid")
    ran = run("price", SESSION, "--json")
    assert (ran.code, ran.json["code"]) == (3, "no_valid_tariff")


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else items:
        yield from _places(item, (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.deepcopy(value)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new
    return changed


NONSENSE = [None, True, -1, 1e30, "", "x" * 200, "2026-02-30T00:00:00Z", [], {}, "ZZ"]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (SESSION, ("price", "{}", "--tariff", TIME_OF_USE)),
        (CDR, ("explain", "{}")),
        (OCPI, ("price", SESSION_30_KWH, "--tariff", "{}")),
        (OCPP, ("lint", "{}")),
        (OCPI, ("tariff", "convert", "{}", "--to", "ocpi-2.2.1")),
    ],
)
def test_nonsense_anywhere_is_an_error_in_one_line(
    run: Run, write: Write, name: str, command: tuple[str, ...]
) -> None:
    whole = json.loads(Path(name).read_text())
    for path in _places(whole):
        for value in NONSENSE:
            file = write(_with(whole, path, value))
            ran = run(*(file if part == "{}" else part for part in command))
            assert ran.code in (0, 1, 2, 3)
            if ran.code > 1:
                refused(ran, ran.code)


# --- explain ---------------------------------------------------------------------------------


def test_explain_says_why(run: Run) -> None:
    given = ("--policy", "zero_energy=minimum", "--policy", "idle_after_stop=false")
    ran = run("explain", SESSION, "--tariff", TIME_OF_USE, *given)
    assert ran.code == 0
    assert "interpolated" in ran.out
    assert "within 44 Wh" in ran.out
    assert "  zero_energy      minimum  default release" in ran.out
    assert "  idle_after_stop  false    default true" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "all as by default" in run("explain", SESSION, "--tariff", TIME_OF_USE).out
    everything = run("explain", CDRS)
    assert everything.code == 3
    assert "Session CDR-2002" in everything.out
    assert [("error" in one) for one in run("explain", CDRS, "--json").json] == [
        False, False, True,
    ]  # fmt: skip


def test_explain_a_charge_that_was_stored(run: Run, write: Write) -> None:
    tariffs = [found for found, _, _ in read_any_list(Path(TIME_OF_USE).read_bytes())]
    charge, _ = price_file(Path(SESSION).read_bytes(), tariffs)
    document = write(encode(charge))
    ran = run("explain", document, "--tariff", TIME_OF_USE)
    assert (ran.code, ran.out) == (0, run("explain", SESSION, "--tariff", TIME_OF_USE).out)
    as_json = run("explain", document, "--tariff", TIME_OF_USE, "--json")
    assert as_json.json == run("price", SESSION, "--tariff", TIME_OF_USE, "--json").json
    refused(run("explain", document), 2, "the tariff 'time-of-use'")
    refused(run("explain", document, "--tariff", PER_KWH), 2, "the tariff 'time-of-use'")
    other = write(Path(TIME_OF_USE).read_text().replace('"0.45"', '"0.46"'), "other.toml")
    refused(run("explain", document, "--tariff", other), 2, "its prices are others")
    # Given both versions it finds the one.
    assert run("explain", document, "--tariff", other, "--tariff", TIME_OF_USE).code == 0
    ran = run("explain", document, "--tariff", TIME_OF_USE, "--tax", "VAT=19")
    refused(ran, 2, "--tax", "explained as it is")
    report = write(run("price", SESSION, "--tariff", TIME_OF_USE, "--json").out, "report.json")
    refused(run("explain", report, "--tariff", TIME_OF_USE), 2, "price --json")


def test_a_stored_charge_that_was_damaged(run: Run, write: Write) -> None:
    tariffs = [found for found, _, _ in read_any_list(Path(TIME_OF_USE).read_bytes())]
    charge, _ = price_file(Path(SESSION).read_bytes(), tariffs)
    whole = json.loads(encode(charge))
    for path in _places(whole):
        for value in (None, -1, "x"):
            file = write(_with(whole, path, value))
            ran = run("explain", file, "--tariff", TIME_OF_USE)
            assert ran.code in (0, 2, 3)
            if ran.code:
                refused(ran, ran.code)


# --- lint and convert ------------------------------------------------------------------------


def test_lint(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = write(tariff(priced_at("energy", "0.40", "kWh")))
    ran = run("lint", clean)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "Nothing found.")
    ran = run("lint", TIME_OF_USE, "--programme", "US-NEVI", "--json")
    assert (ran.code, ran.json["errors"]) == (1, 1)
    (one,) = ran.json["tariffs"]
    assert one["id"] == "time-of-use"
    assert one["findings"][0]["severity"] == "error"
    assert one["findings"][0]["path"] == "$.elements[0].restrictions.start_time"
    # A file's name is said as it was given, and never broken: here it is a short one.
    monkeypatch.chdir(EXAMPLES)
    told = run("lint", "time-of-use.toml", "--programme", "US-NEVI")
    assert told.code == 1
    assert "error    price_not_locked  $.elements[0].restrictions.start_time" in told.out
    assert max(map(len, told.out.splitlines())) <= 80
    before = ("--on", "2023-01-01")
    assert run("lint", TIME_OF_USE, "--programme", "US-NEVI", *before).code == 0
    assert "unknown_jurisdiction" in run("lint", clean, "--jurisdiction", "XX").out
    refused(run("lint", clean, "--on", "tomorrow"), 2, "--on")
    refused(run("lint", clean, "--power-w", "50 kW"), 2, "--power-w")


def test_lint_takes_the_rules_of_the_configuration_it_reads(run: Run, write: Write) -> None:
    own = write(
        '[[tariff]]\nid = "t"\ncurrency = "USD"\nelements = [{ components = [{ dimension = '
        '"energy", price = "0.40", unit = "kWh" }] }]\n'
        '[[jurisdiction]]\nid = "harbour"\n[[jurisdiction.rules]]\nid = "no-kwh"\n'
        'text = "Not by the kWh."\nforbidden = ["energy"]\n',
        "wattledger.toml",
    )
    assert run("lint", own).code == 0
    ran = run("lint", own, "--jurisdiction", "harbour")
    assert ran.code == 1
    assert "component_forbidden" in ran.out


def test_convert(run: Run, write: Write, tmp_path: Path) -> None:
    ran = run("tariff", "convert", PER_KWH, "--to", "ocpp-2.1")
    assert ran.json["idleTime"]["prices"] == [
        {"priceMinute": 0.40, "conditions": {"minIdleTime": 600}}
    ]
    assert "$.name: left behind" in ran.err
    out = tmp_path / "out.json"
    assert run("tariff", "convert", OCPI, "--to", "ocpi-2.2.1", "-o", str(out)).out == ""
    assert json.loads(out.read_text())["min_price"] == {"excl_vat": 1.0}
    lost = run("tariff", "convert", TIME_OF_USE, "--to", "ocpi-2.2.1", "-o", str(out) + ".2")
    assert lost.code == 1
    assert lost.out == ""
    assert "$.country_code: missing; OCPI 2.2.1 requires it (--country-code)" in lost.err
    assert len(lost.err.splitlines()) == 5
    assert not (tmp_path / "out.json.2").exists()
    refused(run("tariff", "convert", PER_KWH, "--to", "ocpi-3.0"), 2, "--to", *FORMATS)
    refused(run("tariff", "convert", OCPI, "--to", "ocpp-2.1", "--from", "x"), 2, "--from")


def test_convert_gives_what_ocpi_requires(run: Run, write: Write) -> None:
    simple = write(tariff(priced_at("energy", "0.40", "kWh")))
    given = ("--country-code", "DE", "--party-id", "EXA")
    ran = run("tariff", "convert", simple, "--to", "ocpi-2.3.0", *given)
    assert ran.code == 0
    assert "the present moment" in ran.err
    dated = run("tariff", "convert", simple, "--to", "ocpi-2.3.0", *given,
                "--last-updated", "2026-07-01T00:00:00+02:00")  # fmt: skip
    assert dated.json["last_updated"] == "2026-06-30T22:00:00Z"
    assert dated.json["party_id"] == "EXA"
    refused(run("tariff", "convert", simple, "--to", "ocpi-2.3.0", "--country-code", "DEU"), 2,
            "--country-code")  # fmt: skip
    both = write([json.loads(Path(OCPI).read_text())] * 2)
    assert len(run("tariff", "convert", both, "--to", "wattledger").json) == 2


@pytest.mark.parametrize("name", [TIME_OF_USE, PER_KWH, PER_MINUTE, OCPI, OCPP])
def test_what_is_converted_prices_the_same(run: Run, tmp_path: Path, name: str) -> None:
    before = run("price", SESSION, "--tariff", name, "--json").json["exact"]
    given = ("--country-code", "DE", "--party-id", "EXA")
    for form in FORMATS:
        out = str(tmp_path / form)
        ran = run("tariff", "convert", name, "--to", form, *given, "-o", out)
        if ran.code == 0:
            assert run("price", SESSION, "--tariff", out, "--json").json["exact"] == before
    assert (tmp_path / "wattledger").exists()


# --- as a program ----------------------------------------------------------------------------


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = (
        "import os, sys; from wattledger.cli.main import main; "
        "os.close(os.dup(1)); sys.exit(main(sys.argv[1:]))"
    )
    records = json.dumps([json.loads(Path(CDR).read_text())] * 50)
    with subprocess.Popen(
        [sys.executable, "-c", program, "price", "-", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(records)
        process.stdin.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait() == 141


def test_pricing_needs_no_database_and_no_server() -> None:
    """Its import stays small: no psycopg, no stripe, no web server."""
    program = (
        "import sys; from wattledger.cli.main import main; main(sys.argv[1:]); "
        "print(sorted({'psycopg', 'stripe', 'starlette', 'uvloop', 'rich'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, "price", SESSION, "--tariff", TIME_OF_USE]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1] == "[]"
