"""What the doors for finished sessions share: items that each stand alone, and their answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from wattledger.api.answers import json_answer, told
from wattledger.api.state import State
from wattledger.errors import BadInput, Conflict
from wattledger.pipeline.importing.imports import Item, take_all
from wattledger.sessions.finished import renamed

BATCH_MAX = 1_000
# One transaction takes so many: long enough to be fast, short enough to keep nobody waiting.
_TOGETHER = 50


class Result(msgspec.Struct, frozen=True):
    """One item as the sender gets it: its session, or why there is none."""

    id: str | None
    taken: dict[str, Any] | None = None
    error: BadInput | Conflict | None = None
    warnings: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """As JSON."""
        found: dict[str, Any] = {"id": self.id, **(self.taken or {})}
        if self.error is not None:
            found["error"] = told(self.error)
        if self.warnings:
            found["warnings"] = list(self.warnings)
        return found


async def take_each(
    state: State,
    source: str,
    items: Sequence[Item | Result],
    names: Mapping[str, str] | Sequence[Mapping[str, str]],
    warnings: Sequence[tuple[str, ...]] | None = None,
) -> list[Result]:
    """Take the items; a ``Result`` among them is one that could not be read. ``names`` are the
    form's words for what ``SessionIn`` calls otherwise, of all items or of each."""
    results: list[Result | None] = [i if isinstance(i, Result) else None for i in items]
    readable = [(n, item) for n, item in enumerate(items) if isinstance(item, Item)]
    for at in range(0, len(readable), _TOGETHER):
        some = readable[at : at + _TOGETHER]
        outcomes = await take_all(state.world, source, [item for _, item in some])
        for (n, _), outcome in zip(some, outcomes, strict=True):
            error = outcome.error
            if isinstance(error, BadInput):
                error = renamed(error, names if isinstance(names, Mapping) else names[n])
            taken = None if error is not None else outcome.answer
            said = warnings[n] if warnings is not None else ()
            results[n] = Result(outcome.id, taken, error, said)
    state.wake()
    return [result for result in results if result is not None]


def answer(results: Sequence[Result], *, one: bool, key: str = "sessions") -> Response:
    """201 when something is new, 200 when all of it was here, whatever else was refused; when
    nothing could be taken 422, or 409 where all of it is in conflict with what is here.

    A single item that was refused is answered as any error is. Raises it.
    """
    if one and results[0].error is not None:
        raise results[0].error
    taken = [r.taken for r in results if r.taken is not None]
    if any(each["new"] for each in taken):
        status = 201
    elif taken or not results:
        status = 200
    else:
        status = 409 if all(isinstance(r.error, Conflict) for r in results) else 422
    body = {
        key: [result.body() for result in results],
        "taken": len(taken),
        "rejected": len(results) - len(taken),
    }
    return json_answer(body, status)
