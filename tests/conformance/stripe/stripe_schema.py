"""Checks an answer against the pinned OpenAPI document, strictly: a field that is neither
there nor in ``LATER_FIELDS`` is refused, as is a value that no choice allows."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from later_fields import LATER_FIELDS, LATER_PATHS, LATER_VALUES

_VENDORED = Path(__file__).with_name("stripe.oas.json.gz")
_SCHEMAS = "#/components/schemas/"
ERROR = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {"error": {"$ref": "#/$defs/api_errors"}},
}


@cache
def _document() -> dict[str, Any]:
    return dict(json.loads(gzip.decompress(_VENDORED.read_bytes())))


@cache
def _definitions() -> dict[str, Any]:
    schemas = {
        name: _strict(schema) for name, schema in _document()["components"]["schemas"].items()
    }
    for name, (_, fields) in LATER_FIELDS.items():
        for field, reason in fields.items():
            properties = schemas[name]["properties"]
            # One that the document has by now needs no exception any more.
            assert field not in properties, f"{name}.{field} is no later field: {reason}"
            properties[field] = {}
    for (name, field), values in LATER_VALUES.items():
        schemas[name]["properties"][field]["enum"] += [*values]
    return schemas


def _strict(node: Any) -> Any:
    """The schema in today's JSON Schema: null spelled out, unknown fields forbidden."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    nullable = node.pop("nullable", False)
    if "$ref" in node:
        node["$ref"] = node["$ref"].replace(_SCHEMAS, "#/$defs/")
    if "properties" in node:
        node["properties"] = {key: _strict(value) for key, value in node["properties"].items()}
        node.setdefault("additionalProperties", False)
    for key in ("items", "anyOf", "oneOf", "allOf", "additionalProperties"):
        if key in node:
            node[key] = _strict(node[key])
    if nullable and "enum" in node:
        node["enum"] = [*node["enum"], None]
    if nullable and "type" in node:
        node["type"] = [node["type"], "null"]
    elif nullable:
        node = {"anyOf": [node, {"type": "null"}]}
    return node


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    # The plain path first: /search is no id.
    paths = sorted(_document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path) for path in paths]


@cache
def _validator(path: str, method: str) -> Draft202012Validator:
    schema = _document()["paths"][path][method]["responses"]["200"]
    return _compiled(json.dumps(_strict(schema)))


@cache
def _compiled(schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "$defs": _definitions()})


def problems(method: str, path: str, status: int, answer: Any) -> list[str]:
    """What is wrong with the answer to ``method path``; empty when nothing is."""
    if (method, path_shape(path)) in LATER_PATHS:
        return []
    if status != 200:
        return _told(_compiled(json.dumps(ERROR)), answer)
    for pattern, template in _patterns():
        if pattern.fullmatch(path) and method.lower() in _document()["paths"][template]:
            return _told(_validator(template, method.lower()), answer)
    return [f"{method} {path}: the pinned document has no such operation"]


def object_problems(kind: str, answer: Any) -> list[str]:
    """The same for one object by the name of its schema."""
    return _told(_compiled(json.dumps({"$ref": f"#/$defs/{kind}"})), answer)


def path_shape(path: str) -> str:
    """The path with its ids left out: they hold digits, which words of the API do not."""
    return re.sub(r"/[a-z]+_[A-Za-z0-9_]*[0-9][A-Za-z0-9_]*", "/{id}", path)


def _told(validator: Draft202012Validator, answer: Any) -> list[str]:
    return [
        "/".join(map(str, deepest.absolute_path)) + ": " + deepest.message[-300:]
        for error in validator.iter_errors(answer)
        for deepest in [_deepest(error)]
    ]


def _deepest(error: Any) -> Any:
    """Of the choices of an anyOf the one that fits best says most: not "is no null"."""
    while error.context:
        error = max(error.context, key=_says)
    return error


def _says(error: Any) -> tuple[bool, int, int]:
    return error.validator != "type", len(error.absolute_path), -len(error.message)
