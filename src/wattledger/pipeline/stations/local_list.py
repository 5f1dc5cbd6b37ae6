"""Which tokens a charge point may accept by itself, and which its cache must forget (R15).

The list is what a charge point goes by while it is offline; the decision is taken again when the
start arrives, so a stale list costs energy (``refused_energy``), never a wrong bill. It has the
tokens that are accepted there now, is sent whole, and its version is the configuration's number.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import msgspec

from wattledger.contract import Route
from wattledger.db.effects import Conn
from wattledger.entitlements import Snapshot, decide
from wattledger.entitlements.model import Account
from wattledger.ids import content_digest
from wattledger.payments.blocks import Blocks
from wattledger.pipeline.world import World

COMMAND = "send_local_list"
CLEAR = "clear_cache"

# Accounts that are alike: all that decides besides the token, the place and the time.
_Kind = tuple[str, bool, bool]


class _Tokens:
    """All tokens of a configuration, by kinds of accounts; lists of it have their digests here."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.by_kind: dict[_Kind, list[str]] = {}
        for account in snapshot.all("account", Account):
            if account.tokens:
                kind = account.plan, account.blocked, account.payment_method is None
                self.by_kind.setdefault(kind, []).extend(account.tokens)
        self.digests: dict[tuple[_Kind, ...], str] = {}


# A configuration with many tokens is not read again for each charge point that boots.
_tokens_of = lru_cache(maxsize=2)(_Tokens)


class Lists:
    """The lists of one moment. ``blocks``: whoever may not charge for now is on none."""

    def __init__(self, snapshot: Snapshot, now: datetime, blocks: Blocks | None = None) -> None:
        self._snapshot = snapshot
        self._now = now
        self._all = _tokens_of(snapshot)
        self._blocks = blocks if blocks and (blocks.accounts or blocks.tokens) else None

    def tokens(self, charge_point_id: str) -> list[str]:
        """What is accepted there, sorted."""
        return self._listed(self._accepted(charge_point_id))

    def digest(self, charge_point_id: str) -> str:
        """Equal lists have the same."""
        accepted = self._accepted(charge_point_id)
        if self._blocks is not None:
            return digest(self._listed(accepted))  # they come and go, the configuration stays
        if accepted not in self._all.digests:
            self._all.digests[accepted] = digest(self._listed(accepted))
        return self._all.digests[accepted]

    def _accepted(self, charge_point_id: str) -> tuple[_Kind, ...]:
        # What a decision knows of a token is its account's kind: one speaks for all.
        return tuple(
            kind
            for kind, tokens in self._all.by_kind.items()
            if decide(self._snapshot, tokens[0], charge_point_id, self._now).accepted
        )

    def _listed(self, kinds: tuple[_Kind, ...]) -> list[str]:
        return sorted(
            token
            for kind in kinds
            for token in self._all.by_kind[kind]
            if self._blocks is None or not _blocked(self._snapshot, self._blocks, token)
        )


def _blocked(snapshot: Snapshot, blocks: Blocks, token: str) -> bool:
    account = snapshot.account_of(token)
    return blocks.why(account.id if account else None, token) is not None


def digest(tokens: list[str]) -> str:
    """The name of a set of tokens, without the tokens."""
    return content_digest(msgspec.json.encode(tokens))[:16]


async def tokens(world: World, charge_point_id: str) -> tuple[list[str], int]:
    """The list of a charge point as it is now, and its version."""
    now = world.now
    snapshot = await world.snapshot(now)
    return Lists(snapshot, now, world.blocks).tokens(charge_point_id), snapshot.seq


def wants_list(snapshot: Snapshot, charge_point_id: str) -> bool:
    """Whether its site keeps local lists."""
    place = snapshot.place_of(charge_point_id)
    return place is not None and place[0].local_list


async def withdrawn(conn: Conn, snapshot: Snapshot, blocks: Blocks | None) -> str | None:
    """The digest of all tokens that somebody could use once and nobody can any more; None where
    there is none. When it changes, caches have to go."""
    cursor = await conn.execute(
        "SELECT DISTINCT lower(token) AS token FROM config_version,"
        " jsonb_array_elements_text(body->'tokens') AS token WHERE kind = 'account'"
        # Who was blocked from the first is in no cache of ours.
        " AND NOT COALESCE((body->>'blocked')::boolean, false)"
    )
    ever = [row["token"] for row in await cursor.fetchall()]
    gone = sorted(
        token
        for token in ever
        if not _usable(snapshot, token) or (blocks and _blocked(snapshot, blocks, token))
    )
    return digest(gone) if gone else None


def _usable(snapshot: Snapshot, token: str) -> bool:
    account = snapshot.account_of(token)
    plan = snapshot.plan(account.plan) if account else None
    if account is None or plan is None or account.blocked:
        return False
    return plan.route not in (Route.CARD, Route.APP) or account.payment_method is not None
