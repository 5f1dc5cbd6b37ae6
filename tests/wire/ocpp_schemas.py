"""The standards' own JSON schemas, as PyPI `ocpp` carries them: they know nothing of our code."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import jsonschema

from wattledger.wire.ocpp import frames

_FOLDER = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}


def check(version: str, name: str, payload: dict[str, Any]) -> None:
    """``payload``, as it goes over the wire, is a ``name`` (Authorize, AuthorizeResponse...)."""
    raw = frames.encode(frames.CallResult("1", payload))
    # As a station's parser sees it: a number is one only if it was written as one.
    _validator(version, _file(version, name)).validate(json.loads(raw)[2])


def actions(version: str) -> frozenset[str]:
    """Every action that has a schema, whoever sends it."""
    names = {
        file.name.removesuffix(".json")
        for file in (resources.files(f"ocpp.{_FOLDER[version]}") / "schemas").iterdir()
        if file.name.endswith(".json")
    }
    return frozenset(
        name.removesuffix("Request") for name in names if not name.endswith("Response")
    )


def _file(version: str, name: str) -> str:
    plain = version == "ocpp1.6" or name.endswith("Response")
    return name if plain else f"{name}Request"


@cache
def _validator(version: str, file: str) -> Any:
    path = resources.files(f"ocpp.{_FOLDER[version]}") / "schemas" / f"{file}.json"
    schema = json.loads(path.read_text(encoding="utf-8-sig"))
    return jsonschema.validators.validator_for(schema)(
        schema, format_checker=jsonschema.FormatChecker()
    )
