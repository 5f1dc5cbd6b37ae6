"""How objects leave: lists page by page, newest first, and references expanded on request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, invalid, missing

_COMPARE = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}
# References that come with time: they may be asked for before they are there.
_LATER = frozenset({"failure_balance_transaction"})
_PAGING = frozenset({"limit", "starting_after", "ending_before", "expand"})


def page(store: Store, newest_first: Iterable[Obj], p: Obj, url: str) -> Obj:
    """One page of the rows that match every filter of ``p`` by equality or range.

    A filter names a field of the rows; ``created`` and ``arrival_date`` take ranges.
    """
    limit = p.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("Invalid limit: must be between 1 and 100", "limit")
    filters = {name: value for name, value in p.items() if name not in _PAGING}
    rows = [row for row in newest_first if _matches(row, filters)]
    more = False
    if cursor := p.get("starting_after"):
        rows = rows[_position(store, rows, cursor, "starting_after") + 1 :]
    if cursor := p.get("ending_before"):
        before = rows[: _position(store, rows, cursor, "ending_before")]
        rows, more = before[-limit:], len(before) > limit
    else:
        rows, more = rows[:limit], len(rows) > limit
    return {"object": "list", "url": url, "has_more": more, "data": rows}


def _matches(row: Obj, filters: Obj) -> bool:
    for name, wanted in filters.items():
        value = row.get(name)
        if isinstance(wanted, dict):
            if not all(_COMPARE[how](value, bound) for how, bound in wanted.items()):
                return False
        elif value != wanted:
            return False
    return True


def _position(store: Store, rows: list[Obj], cursor: str, param: str) -> int:
    for i, row in enumerate(rows):
        if row["id"] == cursor:
            return i
    known = store.by_id.get(cursor)
    raise missing(known["object"] if known else "object", cursor, param)


def expanded(store: Store, obj: Obj, paths: list[str]) -> Obj:
    """``obj`` with the references at ``paths`` replaced by what they name."""
    if len(paths) > 20 or any(path.count(".") > 3 for path in paths):
        raise invalid("expand takes at most 20 paths of at most four levels", "expand")
    for path in paths:
        obj = _expand(store, obj, path.split("."), path)
    return obj


def _expand(store: Store, value: Any, steps: list[str], path: str) -> Any:
    if isinstance(value, list):
        return [_expand(store, item, steps, path) for item in value]
    if isinstance(value, str):
        value = store.by_id.get(value, value)
    if value is None or not steps:
        if isinstance(value, str):
            raise invalid(f"This property cannot be expanded ({path}).", "expand")
        return value
    if isinstance(value, dict) and steps[0] in _LATER and steps[0] not in value:
        return value
    if not isinstance(value, dict) or steps[0] not in value:
        raise invalid(f"This property cannot be expanded ({path}).", "expand")
    return {**value, steps[0]: _expand(store, value[steps[0]], steps[1:], path)}
