"""The three database roles. What each may do is said by the GRANTs of the migrations."""

from __future__ import annotations

from enum import StrEnum

SCHEMA = "wattledger"


class Role(StrEnum):
    """As whom a connection acts."""

    OWNER = "wattledger_owner"
    """Owns the schema: migrations only."""
    APP = "wattledger_app"
    """The running system."""
    READER = "wattledger_reader"
    """Reports and people: SELECT only."""
