"""``wattledger meter verify``: verdicts, exit codes, and what a person sees."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from wattledger.cli.main import main

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "meter"
PUBLISHED = ROOT / "tests" / "wire" / "ocmf"
RECEIPT, CHANGED = str(EXAMPLES / "receipt.xml"), str(EXAMPLES / "receipt-changed.xml")
RECORD, PEM = str(EXAMPLES / "record.ocmf"), str(EXAMPLES / "meter.pem")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["meter", "verify", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def _records(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[Any]]:
    code, out, _ = _run(capsys, *arguments, "--json")
    found = json.loads(out, parse_float=Decimal)
    assert set(found) == {"records"}
    assert all({"verified", "reason"} <= set(one) for one in found["records"])
    return code, found["records"]


def test_a_record_with_the_meters_key(capsys: pytest.CaptureFixture[str]) -> None:
    code, (one,) = _records(capsys, RECORD, "--public-key", PEM)
    assert code == 0
    assert one["verified"] is True
    # 2949.204 − 2935.600 kWh
    assert one["energy_wh"] == 13604
    assert isinstance(one["energy_wh"], int)
    assert (one["begin"]["register_wh"], one["end"]["register_wh"]) == (2935600, 2949204)
    assert (one["meter_serial"], one["pagination"]) == ("EM3-0081557", "T1203")
    assert one["end"]["at"] == "2026-06-24T13:10:31Z"


def test_without_a_key_it_is_not_verified(capsys: pytest.CaptureFixture[str]) -> None:
    code, (one,) = _records(capsys, RECORD)
    assert (code, one["verified"]) == (1, False)
    assert one["reason"] == "no public key: none was given, and none came with the record"
    assert "energy_wh" not in one


def test_a_container_of_begin_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    code, (begin, end) = _records(capsys, RECEIPT)
    assert code == 0
    assert [begin["verified"], end["verified"]] == [True, True]
    assert "energy_wh" not in begin
    assert (end["energy_wh"], end["begun_in"], end["transaction_id"]) == (13604, 1, "9017")
    code, (begin, end) = _records(capsys, CHANGED)
    assert (code, begin["verified"], end["verified"]) == (1, True, False)
    assert "energy_wh" not in end


def test_energy_that_is_no_whole_watt_hour_is_an_exact_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = _run(capsys, str(PUBLISHED / "keba.xml"), "--json")
    assert code == 0
    assert '"energy_wh":0.1,' in out


def test_signed_and_still_not_billable(capsys: pytest.CaptureFixture[str]) -> None:
    code, (begin, _) = _records(capsys, str(PUBLISHED / "bauer-not-usable.xml"))
    assert (code, begin["verified"]) == (0, True)
    assert "begin: energy not usable (EF)" in begin["not_billable"]
    assert "not billable" in begin["reason"]


def test_the_given_key_goes_before_that_of_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = (PUBLISHED / "keba.xml").read_text().split('"hex">')[1].split("<")[0]
    code, (begin, _) = _records(capsys, RECEIPT, "--public-key", other)
    assert (code, begin["verified"]) == (1, False)
    assert begin["reason"] == (
        "the signature does not match payload and key; "
        "the record comes with another key than the one given"
    )
    hex_key = Path(RECEIPT).read_text().split('"hex">')[1].split("<")[0]
    key_file = tmp_path / "key.der"
    key_file.write_bytes(bytes.fromhex(hex_key))
    for key in (hex_key, str(key_file), PEM, Path(PEM).read_text()):
        code, records = _records(capsys, RECEIPT, "--public-key", key)
        assert code == 0
        assert records[0]["reason"] == "signed (ECDSA-secp256r1-SHA256)"


def test_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(RECORD).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text + b"\r\n  " + text)))
    code, records = _records(capsys, "-", "--public-key", PEM)
    assert (code, [one["energy_wh"] for one in records]) == (0, [13604, 13604])


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (None, (), "no such file"),
        (b"", (), "expected an OCMF record, or the XML"),
        (b"hello", (), "expected an OCMF record, or the XML"),
        (b"<values/>", (), "there is nothing to verify"),
        (b"<values>", (), "broken XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><values/>', (), "a document type"),
        (b"<html/>", (), "an XML of <html>"),
        (b"OCMF|{}|{}", ("--public-key", "no-such-file"), "--public-key"),
        (b"OCMF|{}|{}", ("--public-key", RECORD), "record.ocmf"),
    ],
)
def test_what_can_not_be_read_is_2_with_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: bytes | None,
    options: tuple[str, ...],
    told: str,
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    code, out, err = _run(capsys, str(file), *options)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_record_that_is_broken_is_a_verdict(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"OCMF|{broken|{}\n" + Path(RECORD).read_bytes())
    code, records = _records(capsys, str(file), "--public-key", PEM)
    assert (code, [one["verified"] for one in records]) == (1, [False, True])


def test_what_a_person_sees(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = _run(capsys, CHANGED)
    assert code == 1
    assert out.splitlines() == [
        "1  verified      EM3-0081557  T1201  begin at 2935600 Wh",
        "    signed (ECDSA-secp256r1-SHA256) by the key that came with it",
        "2  not verified  EM3-0081557  T1202",
        "    the signature does not match payload and key",
        "1 of 2 verified.",
        "A key that comes with a record shows that nothing was changed since it was signed, not "
        "whose meter",
        "it was: compare it with the key on the meter, or give that one with --public-key.",
    ]
    code, out, _ = _run(capsys, RECEIPT, "--public-key", PEM)
    assert (code, out.splitlines()[2:]) == (0, [
        "2  verified      EM3-0081557  T1202             13604 Wh",
        "    signed (ECDSA-secp256r1-SHA256); begin in record 1",
        "2 of 2 verified.",
    ])  # fmt: skip
    # Nothing that a record holds does anything to the terminal.
    file = tmp_path / "file"
    file.write_text(Path(RECORD).read_text().replace("EM3-0081557", "\\u001b[31mred"))
    _, out, _ = _run(capsys, str(file), "--public-key", PEM)
    assert "\x1b" not in out
