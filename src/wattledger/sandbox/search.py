"""Search: Stripe's query language over an index that lags a minute behind.

The index is fed by events and, where a change makes none, by whoever made it. A hit is told
by what the index knew a minute ago; what is returned is the object as it stands.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, invalid

LAG_S = 60
_LONGEST_CLAUSES = 10
_FIELDS: dict[str, frozenset[str]] = {
    "payment_intent": frozenset({"amount", "created", "currency", "customer", "status"}),
    "customer": frozenset({"created", "email", "name", "phone"}),
    "charge": frozenset(
        {"amount", "created", "currency", "customer", "disputed", "refunded", "status"}
    ),
}
_NUMERIC = frozenset({"amount", "created"})
_CLAUSE = re.compile(
    r"""\s*(?P<not>-)?
    (?:(?P<field>[a-z_.]+)|metadata\[(?P<q>["'])(?P<key>[^"']{1,40})(?P=q)\])
    \s*(?P<op>:|~|>=|<=|>|<)\s*
    (?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>null|true|false|-?\d+))
    \s*""",
    re.VERBOSE,
)
_JOIN = re.compile(r"(AND|OR|and|or)\b|(?=[-a-z])")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}

Clause = Callable[[Obj], bool]


class Index:
    """What search knows: of each object the searchable fields as they stood LAG_S ago."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, dict[str, Obj]] = {kind: {} for kind in _FIELDS}
        self._coming: deque[tuple[int, str, str, Obj | None]] = deque()
        store.watchers.append(self.note)

    def note(self, obj: Obj) -> None:
        """``obj`` changed now; found by it in LAG_S."""
        kind = obj["object"]
        if kind not in _FIELDS:
            return
        fields = None
        if not obj.get("deleted"):
            fields = {name: obj.get(name) for name in _FIELDS[kind]}
            fields["metadata"] = dict(obj["metadata"])
        self._coming.append((self.store.now_s, kind, obj["id"], fields))
        self._settle()

    def searched(self, kind: str, url: str) -> Callable[[Store, Obj, Obj], Obj]:
        def search(_: Store, __: Obj, p: Obj) -> Obj:
            return self._page(kind, url, p)

        return search

    def _settle(self) -> None:
        """Take up what has been on its way for LAG_S."""
        until_s = self.store.now_s - LAG_S
        while self._coming and self._coming[0][0] <= until_s:
            _, kind, object_id, fields = self._coming.popleft()
            if fields is None:
                self._known[kind].pop(object_id, None)
            else:
                self._known[kind][object_id] = fields

    def _page(self, kind: str, url: str, p: Obj) -> Obj:
        self._settle()
        matches = parse(p["query"], kind)
        limit = p.get("limit", 10)
        if not 1 <= limit <= 100:
            raise invalid("Invalid limit: must be between 1 and 100", "limit")
        hits = [object_id for object_id, row in self._known[kind].items() if matches(row)]
        hits.reverse()  # the newest first
        first = 0
        if cursor := p.get("page"):
            if cursor not in hits:
                raise invalid("Invalid page: it is not one that a search returned.", "page")
            first = hits.index(cursor) + 1
        page = hits[first : first + limit]
        rows = self.store.tables[kind]
        more = len(hits) > first + limit
        return {
            "object": "search_result",
            "data": [rows[object_id] for object_id in page if object_id in rows],
            "has_more": more,
            "next_page": page[-1] if more else None,
            "url": f"/v1/{url}/search",
        }


def parse(query: str, kind: str) -> Clause:
    """The query as a test of a row; StripeError 400 where it is none."""
    clauses: list[Clause] = []
    joins: set[str] = set()
    at = 0
    while at < len(query):
        if clauses:
            join = _JOIN.match(query, at)
            if join is None:
                raise _unparsed(query)
            joins.add((join.group(1) or "AND").upper())
            at = join.end()
        found = _CLAUSE.match(query, at)
        if found is None:
            raise _unparsed(query)
        clauses.append(_clause(found, kind))
        at = found.end()
    if not clauses or len(clauses) > _LONGEST_CLAUSES:
        raise _unparsed(query)
    if len(joins) > 1:
        raise invalid("You can't combine AND and OR in one query.", "query")
    if "OR" in joins:
        return lambda row: any(clause(row) for clause in clauses)
    return lambda row: all(clause(row) for clause in clauses)


def _clause(found: re.Match[str], kind: str) -> Clause:
    field, key, op = found["field"], found["key"], found["op"]
    text = found["double"] if found["double"] is not None else found["single"]
    bare = found["bare"]
    if text is not None:
        text = re.sub(r"\\(.)", r"\1", text)
    if key is None and field not in _FIELDS[kind]:
        raise invalid(f"Field `{field}` is an unsupported search field for this resource.", "query")
    test = _metadata_test(key, op, text, bare) if key else _field_test(field, op, text, bare)
    if found["not"]:
        return lambda row: not test(row)
    return test


def _metadata_test(key: str, op: str, text: str | None, bare: str | None) -> Clause:
    """Metadata is text: present or not, the same or not, in any case."""
    if bare == "null" and op == ":":
        return lambda row: key not in row["metadata"]
    if text is None or op not in (":", "~"):
        raise invalid("metadata takes `:` or `~` with a quoted value, or `:null`.", "query")
    wanted = text.lower()
    if op == ":":
        return lambda row: row["metadata"].get(key, "").lower() == wanted
    return lambda row: wanted in row["metadata"].get(key, "").lower()


def _field_test(field: str, op: str, text: str | None, bare: str | None) -> Clause:
    if field in _NUMERIC:
        digits = bare if bare is not None else text
        if digits is None or not re.fullmatch(r"-?\d+", digits) or op == "~":
            raise invalid(f"`{field}` is numeric and takes : > < >= <= with a number.", "query")
        number = int(digits)
        if op == ":":
            return lambda row: row[field] == number
        return lambda row: _COMPARE[op](row[field], number)
    if op not in (":", "~"):
        raise invalid(f"`{field}` can't be compared with {op}.", "query")
    if bare in ("true", "false"):
        return lambda row: row[field] is (bare == "true")
    if bare == "null":
        return lambda row: row[field] is None
    if text is None:
        raise _unparsed(f"{field}{op}")
    wanted = text.lower()
    if op == "~":
        return lambda row: wanted in str(row[field] or "").lower()
    return lambda row: str(row[field] or "").lower() == wanted


def _unparsed(query: str) -> Exception:
    return invalid(f"We were unable to parse your search query: {query!r}", "query")
