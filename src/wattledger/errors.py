"""Every error we raise on purpose.

WattledgerError
├── ConfigError          the configuration says something it may not
├── BadInput             a message, file or request that can't be taken as it is
│   └── Malformed        it does not even parse
├── CantSay              another format has no words for what a tariff says
├── NotFound             what was asked for does not exist
├── Conflict             the same key came with another content, or the state forbids it
├── TooMany              asked for too often, or too much at a time: later it may be
├── Refused              an authorization that was not given
│   └── Forbidden        known, but may not do this
├── CantPrice            a session that can't be priced safely: it is held, never guessed
├── Unproven             a proof of the ledger failed
├── ExternalFault        the other side answered with an error or not at all
└── DatabaseFault        the database can't be started, reached or migrated

Expected outcomes (a decline, a break, a refused token) are values, not errors.
A message says where, what came, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class WattledgerError(Exception):
    """The root of all errors raised on purpose."""


class ConfigError(WattledgerError):
    """The configuration says something it may not."""


class BadInput(WattledgerError):
    """Something that can't be taken as it is.

    ``path`` says where (``$.meter_values[2].register_wh``), ``got`` what came,
    ``expected`` what should have come.
    """

    def __init__(self, path: str, got: object, expected: str) -> None:
        self.path = path
        self.got = got
        self.expected = expected
        super().__init__(f"{path}: got {_shown(got)}, expected {expected}")


class Malformed(BadInput):
    """It does not even parse."""


class CantSay(WattledgerError):
    """Another format has no words for what a tariff says; ``losses`` names each with its path."""

    def __init__(self, form: str, losses: Sequence[str]) -> None:
        self.form = form
        self.losses = tuple(losses)
        super().__init__(f"{form} can't say all of it: " + "; ".join(losses))


class NotFound(WattledgerError):
    """What was asked for does not exist."""


class Conflict(WattledgerError):
    """The same key came with another content, or the state forbids it."""


class TooMany(WattledgerError):
    """Asked for too often, or too much at a time. ``reason`` names the limit, and
    ``retry_after_s`` says when it may be asked for again."""

    def __init__(self, reason: str, message: str, retry_after_s: int) -> None:
        self.reason = reason
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Refused(WattledgerError):
    """An authorization that was not given."""


class Forbidden(Refused):
    """Known, but may not do this."""


class CantPrice(WattledgerError):
    """A session that can't be priced safely; ``code`` names the reason it is held for."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class Unproven(WattledgerError):
    """A proof of the ledger failed."""


class ExternalFault(WattledgerError):
    """The other side answered with an error, or not at all."""


class DatabaseFault(WattledgerError):
    """The database can't be started, reached or migrated."""


def _shown(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
