"""The cases of the golden corpus, read and priced."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from wattledger.rating import Charge, Terms, driver_text, encode
from wattledger.rating.inputs import price_file
from wattledger.tariffs import Tariff, read_tariff
from wattledger.tariffs.formats import read_any

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in (HERE / "cases").glob("*.toml"))


@dataclass(frozen=True)
class Golden:
    """A case: what goes in, and what its own arithmetic says comes out, before and after taxes."""

    name: str
    raw: bytes
    tariffs: tuple[Tariff, ...]
    terms: Terms
    time_zone: str | None
    policies: dict[str, Any]
    before: Fraction
    after: Fraction

    def price(self) -> tuple[Charge, tuple[Tariff, ...]]:
        return price_file(
            self.raw, self.tariffs, time_zone=self.time_zone, terms=self.terms,
            policies=self.policies,
        )  # fmt: skip

    def render(self) -> tuple[bytes, str]:
        """The charge as it is stored, and the bill with its reasons."""
        charge, tariffs = self.price()
        before, after, whole = (int(part) for part in charge.exact)
        found = (Fraction(before, whole), Fraction(after, whole))
        if found != (self.before, self.after):
            raise AssertionError(
                f"{self.name}: {found}, and by arithmetic {self.before, self.after}"
            )
        return encode(charge), driver_text(charge, tariffs, reasons=True)

    @property
    def charge_path(self) -> Path:
        return HERE / "charges" / f"{self.name}.json"

    @property
    def bill_path(self) -> Path:
        return HERE / "charges" / f"{self.name}.txt"


def load(name: str) -> Golden:
    case = tomllib.loads((HERE / "cases" / f"{name}.toml").read_text(encoding="utf-8"))
    tariffs = [read_tariff(raw, f"$.tariff[{i}]") for i, raw in enumerate(case.get("tariff", ()))]
    tariffs += [read_any(raw.encode())[0] for raw in case.get("tariffs", ())]
    return Golden(
        name=name,
        raw=case["input"].encode(),
        tariffs=tuple(tariffs),
        terms=msgspec.convert(case.get("terms", {}), Terms),
        time_zone=case.get("time_zone"),
        policies=case.get("policies", {}),
        before=Fraction(case["before"]),
        after=Fraction(case["after"]),
    )
