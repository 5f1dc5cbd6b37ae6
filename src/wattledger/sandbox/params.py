"""Form bodies and query strings: parsed as Stripe nests them, checked as its SDK declares them.

The declarations are the TypedDicts of the installed ``stripe`` package, so a parameter we
invent or misspell is refused here as Stripe would refuse it. ``Literal[...] | str`` is
taken as closed: the SDK leaves it open for later API versions, the API itself does not.
"""

from __future__ import annotations

import collections.abc
import functools
import hashlib
import re
import sys
import types
import typing
from typing import Any, Self
from urllib.parse import parse_qsl

from stripe._request_options import RequestOptions

from wattledger.sandbox.wire import Obj, StripeError, invalid

_KEY = re.compile(r"[^\[\]]+")
_INTEGER = re.compile(r"-?\d{1,15}")
# Options of the client itself: RequestOptions is the base of every declaration.
_CLIENT_OPTIONS = frozenset(RequestOptions.__annotations__)
# Documented parameters that no declaration has yet, and their values, by what a declaration's name
# begins with. A location is attended or not from its creation on.
_PREVIEW: dict[str, dict[str, tuple[str, ...]]] = {
    "PaymentIntent": {
        "payment_method_options[card][request_partial_authorization]": ("if_available", "never"),
    },
    "LocationCreate": {
        "attended_type": ("ATTENDED", "UNATTENDED"),
        "unattended[premise_type]": ("OFF_PREMISE",),
    },
}
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_QUOTED = re.compile(r'\b(name|filename)="([^"]*)"')
_BOOLEANS = {"true": True, "false": False}


class Upload(str):
    """A file of a multipart body: as a value the digest of what is in it."""

    filename: str
    content: bytes

    @classmethod
    def of(cls, filename: str, content: bytes) -> Self:
        made = cls(hashlib.sha256(content).hexdigest())
        made.filename, made.content = filename, content
        return made


def pairs(raw: bytes, content_type: str = "") -> list[tuple[str, str]]:
    """The name-value pairs of a form body or query string, in order."""
    if content_type.startswith("multipart/form-data"):
        return _parts(raw, content_type)
    return parse_qsl(raw.decode(errors="replace"), keep_blank_values=True)


def _parts(raw: bytes, content_type: str) -> list[tuple[str, str]]:
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise invalid("Invalid multipart/form-data: no boundary")
    found: list[tuple[str, str]] = []
    for part in raw.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        said = dict(_QUOTED.findall(head.decode(errors="replace")))
        if "name" not in said:
            raise invalid("Invalid multipart/form-data: a part without a name")
        value = content.decode(errors="replace")
        filename = said.get("filename")
        found.append((said["name"], value if filename is None else Upload.of(filename, content)))
    return found


def nested(flat: list[tuple[str, str]]) -> Obj:
    """``a[b][0]=x`` as ``{"a": {"b": {"0": "x"}}}``; ``a[]=x`` counts its indices up."""
    tree: Obj = {}
    for name, value in flat:
        path = _KEY.findall(name)
        if name.endswith("[]"):
            path.append("")
        if not path:
            raise invalid(f"Invalid parameter name: {name!r}")
        node = tree
        for step in path[:-1]:
            child = node.setdefault(step, {})
            if not isinstance(child, dict):
                raise invalid(f"Invalid {step}: both a value and an object", name)
            node = child
        node[path[-1] or str(len(node))] = value
    return tree


def checked(declared: type, flat: list[tuple[str, str]], *, preview: bool = False) -> Obj:
    """The parameters in their types; StripeError 400 for the first that ``declared`` forbids.

    With ``preview`` (a preview version of the API) what the SDK doesn't declare yet is taken
    out first, checked by its own rule and put back.
    """
    known = _early(declared) if preview else {}
    early = [pair for pair in flat if pair[0] in known]
    values = _object(declared, nested([pair for pair in flat if pair not in early]), "")
    for name, value in early:
        if value not in known[name]:
            raise invalid(f"Invalid {name}: must be one of {', '.join(known[name])}", name)
        node = values
        *path, last = _KEY.findall(name)
        for step in path:
            node = node.setdefault(step, {})
        node[last] = value
    return values


def _early(declared: type) -> dict[str, tuple[str, ...]]:
    """What previews take beside the declaration."""
    kinds = (kind for kind in _PREVIEW if declared.__name__.startswith(kind))
    return {name: values for kind in kinds for name, values in _PREVIEW[kind].items()}


@functools.cache
def _fields(declared: type) -> dict[str, Any]:
    module = sys.modules[declared.__module__]
    names = {
        **vars(typing),
        **vars(module),
        "Mapping": collections.abc.Mapping,
        "StripeContext": object,
    }
    hints = typing.get_type_hints(declared, names, include_extras=True)
    return {name: hint for name, hint in hints.items() if name not in _CLIENT_OPTIONS}


def _object(declared: type, tree: Obj, path: str) -> Obj:
    fields = _fields(declared)
    values: Obj = {}
    for name, value in tree.items():
        where = f"{path}[{name}]" if path else name
        if name not in fields:
            raise invalid(f"Received unknown parameter: {where}", where, "parameter_unknown")
        hint = fields[name]
        if _is_optional(hint):
            (hint,) = typing.get_args(hint)
        values[name] = _value(hint, value, where)
    for name, hint in fields.items():
        if name not in values and not _is_optional(hint):
            where = f"{path}[{name}]" if path else name
            raise invalid(f"Missing required param: {where}.", where, "parameter_missing")
    return values


def _is_optional(hint: object) -> bool:
    return typing.get_origin(hint) is typing.NotRequired


def _members(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [inner for member in typing.get_args(hint) for inner in _members(member)]
    return [hint]


def _value(hint: Any, value: Any, where: str) -> Any:
    members = _members(hint)
    if isinstance(value, dict):
        return _structure(members, value, where)
    literals = {
        choice
        for member in members
        if typing.get_origin(member) is typing.Literal
        for choice in typing.get_args(member)
    }
    if value in literals:
        return value
    if bool in members and value in _BOOLEANS:
        return _BOOLEANS[value]
    if int in members and _INTEGER.fullmatch(value):
        return int(value)
    choices = sorted(choice for choice in literals if choice)
    if (str in members and not choices) or typing.Any in members:
        return value
    raise _wrong(members, choices, value, where)


def _wrong(members: list[Any], choices: list[str], value: str, where: str) -> StripeError:
    if choices:
        return invalid(f"Invalid {where}: must be one of {', '.join(choices)}", where)
    if int in members:
        return invalid(f"Invalid integer: {value}", where, "parameter_invalid_integer")
    if bool in members:
        return invalid(f"Invalid boolean: {value}", where)
    return invalid(f"Invalid {where}: expected an object or list", where)


def _structure(members: list[Any], value: Obj, where: str) -> Any:
    for member in members:
        origin = typing.get_origin(member) or member
        if origin is list:
            (inner,) = typing.get_args(member)
            return [_value(inner, item, f"{where}[{i}]") for i, item in value.items()]
        if hasattr(member, "__required_keys__"):  # a TypedDict
            return _object(member, value, where)
        if origin is dict or getattr(origin, "__name__", "") == "UntypedStripeObject":
            return _map(value, where)
    raise invalid(f"Invalid {where}: an object where a plain value belongs", where)


def _map(value: Obj, where: str) -> Obj:
    """Free key-value pairs; Stripe's limits of metadata: 50 keys, 40 and 500 characters."""
    if len(value) > 50:
        raise invalid(f"{where} can have at most 50 keys", where)
    for name, text in value.items():
        if not isinstance(text, str) or len(name) > 40 or len(text) > 500:
            raise invalid(f"Invalid {where}[{name}]: at most 40 and 500 characters", where)
    return value
