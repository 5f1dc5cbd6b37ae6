"""What a refund gives back, and what the charge that follows it is collected by. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Literal

from wattledger.errors import BadInput, Conflict
from wattledger.payments.foreign_store import Share
from wattledger.payments.store import Part
from wattledger.rating import Concession

Kind = Literal["correction", "goodwill"]
_TEXT: dict[Kind, str] = {"correction": "Refund", "goodwill": "Goodwill"}
# By routes that no card is in: one part, whatever it comes to.
_ON_PAPER = ("invoiced", "external", "roaming")
# Of what is left to be paid: what nobody paid stays so, then what was paid; a debt is lessened
# before anything is given back.
_ORDER = ("waived", "refund_due", "wallet", "debt")
# Of more shares than this only the whole is told by its amount.
_SHARES_MAX = 10


def concession_of(scope: dict[str, Any], of_kind: str) -> Concession:
    """``{"whole": true}``, ``{"lines": [1, 3]}`` (as on the bill, the first is 1), or
    ``{"amount_minor": 250}``, with tax. Raises BadInput."""
    kind: Kind = "goodwill" if of_kind == "goodwill" else "correction"
    text = _TEXT[kind]
    if scope == {"whole": True}:
        return Concession(text, kind, whole=True)
    lines, amount = scope.get("lines"), scope.get("amount_minor")
    if set(scope) == {"lines"} and isinstance(lines, list) and lines:
        if all(type(line) is int and line > 0 for line in lines) and len(set(lines)) == len(lines):
            return Concession(text, kind, lines=tuple(sorted(lines)))
    elif set(scope) == {"amount_minor"} and type(amount) is int and amount > 0:
        return Concession(text, kind, amount=amount)
    expected = 'one of {"whole": true}, {"lines": [1, …]} and {"amount_minor": above zero}'
    raise BadInput("$.scope", scope, expected)


def paid_or_owed_minor(standing: Sequence[Part]) -> int:
    """What of a charge can be given back: not what was waived, for nobody has paid that."""
    return sum(part.amount_minor for part in standing if part.state != "waived")


def less(back: Sequence[Part], payment_id: str, amount_minor: int) -> list[Part]:
    """What is due back, without what was given back of a payment already. Raises Conflict where
    that is more than is due back of it."""
    mine = sum(part.amount_minor for part in back if part.payment_id == payment_id)
    if mine < amount_minor:
        raise Conflict(f"of payment {payment_id} only {mine} in minor units is this session's")
    others = [part for part in back if part.payment_id != payment_id]
    left = mine - amount_minor
    return [*others, Part("refund_due", left, payment_id)] if left else others


def after_refund(total_minor: int, back: Sequence[Part], standing: Sequence[Part]) -> list[Part]:
    """The parts of the charge that follows a refund's credit; they sum to ``total_minor``.

    ``back`` is what is due back to the driver and not sent, the whole of what was paid among it;
    ``standing`` are the parts of the charge that was credited.
    """
    if total_minor == 0:
        return []
    paper = next((part for part in standing if part.state in _ON_PAPER), None)
    if paper is not None:
        return [Part(paper.state, total_minor)]
    sources = [*back, *(part for part in standing if part.state in ("waived", "wallet", "debt"))]
    found: list[Part] = []
    for source in sorted(sources, key=lambda part: _ORDER.index(part.state)):
        amount = min(total_minor, source.amount_minor)
        total_minor -= amount
        if amount:
            found.append(Part(source.state, amount, source.payment_id))
    # A session with less behind it than it costs: nobody is asked for more by a refund.
    return [*found, Part("waived", total_minor)] if total_minor else found


def divided(shares: Sequence[Share], amount_minor: int) -> list[Share] | None:
    """Which shares of a payment an amount is, where that is certain: a part of the only one there
    is, all of them, or those that alone come to it, each as a whole. None: a person has to say."""
    if len(shares) == 1 and 0 < amount_minor <= shares[0].amount_minor:
        return [Share(shares[0].session_id, amount_minor)]
    if sum(share.amount_minor for share in shares) == amount_minor:
        return list(shares)
    if len(shares) > _SHARES_MAX:
        return None
    ways = [
        list(some)
        for size in range(1, len(shares))
        for some in combinations(shares, size)
        if sum(share.amount_minor for share in some) == amount_minor
    ]
    return ways[0] if len(ways) == 1 else None


def as_said(
    shares: Sequence[Share], amount_minor: int, said: dict[str, int], path: str
) -> list[Share]:
    """The shares that a person says an amount is of, by session (``""``: beyond what is paid by
    it). Raises BadInput where it is not all of the amount, or more than one has."""
    most = {share.session_id or "": share.amount_minor for share in shares}
    for session_id, minor in said.items():
        if not 0 < minor <= most.get(session_id, 0):
            raise BadInput(
                f"{path}.{session_id}", minor,
                f"from 1 to {most[session_id]} in minor units, what it is paid by this payment"
                if session_id in most else f"a session that is paid by this payment: {_list(most)}",
            )  # fmt: skip
    if sum(said.values()) != amount_minor:
        raise BadInput(path, sum(said.values()), f"{amount_minor} in minor units in all")
    return [Share(session_id or None, minor) for session_id, minor in sorted(said.items())]


def listed(shares: Sequence[Share]) -> str:
    """``ses_a (320 in minor units), ses_b (440 in minor units)``."""
    return _list({share.session_id or "": share.amount_minor for share in shares})


def _list(most: dict[str, int]) -> str:
    named = [
        f"{name or 'what it took too much'} ({minor} in minor units)"
        for name, minor in most.items()
    ]
    return ", ".join(named) or "none is"
