"""Records of real meters: the test data of the S.A.F.E. transparency software (ocmf/README.md).

What is expected is what that software says of them, and the difference of the registers.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from wattledger.wire.ocmf import verify
from wattledger.wire.transparency import Judged, judge, read_file

DATA = Path(__file__).parent / "ocmf"


def _judged(name: str, key: str | None = None) -> list[Judged]:
    return judge(read_file((DATA / f"{name}.xml").read_bytes()), key)


@pytest.mark.parametrize(
    ("name", "algorithm", "energies_wh"),
    [
        # 0.2597 − 0.2596 kWh; the record leaves out its algorithm.
        ("keba", "ECDSA-secp256r1-SHA256", ["0.1"]),
        # 58.685 − 57.584 kWh; the second of two registers is export, and takes over the time.
        ("lem", "ECDSA-secp256r1-SHA256", ["1101"]),
        # "1.304" − "0.0" kWh as texts; the signature in base64, numbers where texts should be.
        ("twincharger-base64", "ECDSA-secp256r1-SHA256", ["1304"]),
        # Begin and end in two records each.
        ("ebee", "ECDSA-secp256r1-SHA256", [None, "0"]),
        ("dzg-secp256k1", "ECDSA-secp256k1-SHA256", [None, "0"]),
        ("nzr-brainpool", "ECDSA-brainpoolP256r1-SHA256", [None, "0"]),
        ("nzr-secp384r1", "ECDSA-secp384r1-SHA256", [None, "0"]),
        # Signed, and yet nothing to bill.
        ("htb-secp192k1", "ECDSA-secp192k1-SHA256", [None, None]),
        ("bauer-not-usable", "ECDSA-secp256r1-SHA256", [None, None]),
        ("isabellenhuette-raw", "ECDSA-secp256r1-SHA256", [None]),
        ("obis-98", "ECDSA-secp256k1-SHA256", [None]),
    ],
)
def test_a_published_record_verifies_and_states_its_energy(
    name: str, algorithm: str, energies_wh: list[str | None]
) -> None:
    found = _judged(name)
    assert [one.verdict.verified for one in found] == [True] * len(energies_wh)
    assert [one.verdict.transaction.energy_wh for one in found] == [
        None if text is None else Decimal(text) for text in energies_wh
    ]
    for one in found:
        assert one.verdict.record is not None
        assert one.verdict.record.algorithm == algorithm
        assert one.verdict.reason.startswith(f"signed ({algorithm}) by the key that came with it")


@pytest.mark.parametrize("name", ["keba", "ebee", "htb-secp192k1", "nzr-brainpool",
                                  "isabellenhuette-raw", "twincharger-base64"])  # fmt: skip
def test_a_published_record_with_one_digit_changed_does_not(name: str) -> None:
    for signed in read_file((DATA / f"{name}.xml").read_bytes()):
        assert signed.text is not None
        changed = signed.text.replace('"PG":"T', '"PG":"T9').replace('"PG": "T', '"PG": "T9')
        assert changed != signed.text
        verdict = verify(changed, signed.key)
        assert not verdict.verified
        assert verdict.reason == "the signature does not match payload and key"
        assert verdict.transaction.energy_wh is None


def test_the_published_record_that_was_changed_fails() -> None:
    (one,) = _judged("keba-changed")
    assert not one.verdict.verified
    assert one.verdict.reason == "the signature does not match payload and key"


def test_a_key_of_another_meter_is_told_by_its_curve() -> None:
    begin, end = _judged("dzg-two-keys")
    assert begin.verdict.verified
    assert not end.verdict.verified
    assert end.verdict.reason == "the key is on secp256r1, the record was signed on secp256k1"
    # With the key of the first it would be 49.440 − 48.542 kWh.
    both = _judged("dzg-two-keys", begin.signed.key)
    assert both[1].verdict.transaction.energy_wh == Decimal("898")
    assert "another key than the one given" in both[1].verdict.reason


def test_what_is_not_billable_says_why() -> None:
    begin, end = _judged("bauer-not-usable")
    assert begin.verdict.transaction.faults == (
        "begin: energy not usable (EF)", "begin: the meter reports an error (ST E)",
    )  # fmt: skip
    assert "not billable: begin: energy not usable (EF)" in end.verdict.line
    (obis,) = _judged("obis-98")
    assert obis.verdict.transaction.faults == ("no reading of an import register",)
    x, _ = _judged("htb-secp192k1")
    assert "exception: not usable from here on (TX X)" in x.verdict.transaction.faults
