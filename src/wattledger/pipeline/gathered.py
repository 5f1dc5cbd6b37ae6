"""One statement for many: what several steps want to know at the same time is asked at once.

While one question is under way those who come gather for the next, so that it grows with the load:
5,000 charge points that boot together ask some dozens of times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Gathered(Generic[T]):
    """Questions of one kind. ``ask`` answers for several names; what it leaves out has no answer.

    An answer is of a time after its question was put. Whoever goes on with it in a transaction of
    its own reads again there.
    """

    def __init__(self, ask: Callable[[list[str]], Awaitable[Mapping[str, T]]]) -> None:
        self._ask = ask
        self._waiting: dict[str, asyncio.Future[T | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def about(self, name: str) -> T | None:
        """The answer for one; raises what asking raised."""
        if name not in self._waiting:
            self._waiting[name] = asyncio.get_running_loop().create_future()
        answer = self._waiting[name]
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="gathered questions")
        return await asyncio.shield(answer)  # others may wait for it too

    async def _run(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                try:
                    found = await self._ask(list(asked))
                except Exception as error:
                    for answer in asked.values():
                        answer.set_exception(error)
                        answer.exception()  # whoever waited may have gone
                else:
                    for name, answer in asked.items():
                        answer.set_result(found.get(name))
        finally:
            self._task = None
