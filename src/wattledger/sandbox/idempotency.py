"""Idempotency keys as Stripe documents them: the first execution's answer, for 24 hours.

Saved is what an endpoint answered once it began to execute, errors and 500s included. A
request that failed validation, or met one still in flight under its key, saves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from wattledger.sandbox.wire import StripeError

_KEPT_S = 86_400
_LONGEST = 255


@dataclass(slots=True)
class Saved:
    """What is known under a key; ``status`` 0 while the first execution is in flight."""

    fingerprint: tuple[object, ...]
    created_s: int
    status: int = 0
    body: bytes = b""


class Keys:
    """The keys in use. ``begin`` before executing, then ``save`` or ``forget``."""

    def __init__(self) -> None:
        self._saved: dict[str, Saved] = {}

    def begin(self, key: str, fingerprint: tuple[object, ...], now_s: int) -> Saved | None:
        """None: execute. Else the answer to replay; StripeError when the key is not free for it.

        ``fingerprint`` starts with the method and path.
        """
        if len(key) > _LONGEST:
            raise _refused(400, f"Idempotency-Key is longer than {_LONGEST} characters.")
        saved = self._saved.get(key)
        if saved is not None and saved.status and now_s - saved.created_s >= _KEPT_S:
            saved = None
        if saved is None:
            self._saved[key] = Saved(fingerprint, now_s)
            return None
        if saved.fingerprint[:2] != fingerprint[:2]:
            raise _refused(
                400,
                "Keys for idempotent requests can only be used for the same endpoint they were "
                f"first used for. Try using a key other than '{key}' if you meant to execute a "
                "different request.",
            )
        if saved.fingerprint != fingerprint:
            raise _refused(
                400,
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}' if you meant to "
                "execute a different request.",
            )
        if not saved.status:
            raise _refused(
                409,
                "There is currently another in-progress request using this Idempotent Key.",
                "idempotency_key_in_use",
            )
        return saved

    def save(self, key: str, status: int, body: bytes) -> None:
        self._saved[key].status = status
        self._saved[key].body = body

    def forget(self, key: str) -> None:
        self._saved.pop(key, None)


def _refused(status: int, message: str, code: str | None = None) -> StripeError:
    return StripeError(status, type="idempotency_error", message=message, code=code)
