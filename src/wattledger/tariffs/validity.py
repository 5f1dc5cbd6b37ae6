"""When a tariff may be sold by."""

from __future__ import annotations

from datetime import datetime

from wattledger.clock import utc_text
from wattledger.tariffs.model import Tariff
from wattledger.tariffs.policies import TariffEnd


def is_valid(tariff: Tariff, at: datetime) -> bool:
    """From its first moment on, to its last by the policy (A13)."""
    if tariff.valid_from is not None and at < tariff.valid_from:
        return False
    if tariff.valid_to is None or at < tariff.valid_to:
        return True
    return tariff.policies.tariff_end is TariffEnd.INCLUSIVE and at == tariff.valid_to


def validity_text(tariff: Tariff) -> str:
    """``'spring' from 2026-03-01T00:00:00Z until further notice``."""
    if tariff.valid_from is None and tariff.valid_to is None:
        return f"{tariff.id!r} at any time"
    start = f" from {utc_text(tariff.valid_from)}" if tariff.valid_from else ""
    end = f"until {utc_text(tariff.valid_to)}" if tariff.valid_to else "until further notice"
    return f"{tariff.id!r}{start} {end}"
