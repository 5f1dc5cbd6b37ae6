"""An account's card readers and the locations where they stand: what a person asks for at setup.

None of it goes through the effect table. It moves no money, no step waits for it, and whoever asked
reads the answer. What is made can be found back by name at Stripe itself: a location by its site, a
reader by the registration that it came from, both in the metadata. Each call has a key that follows
from what it is for. So the same command makes nothing twice, whatever became of the one before, and
needs no row of ours for it. The SDK's own retries are off here as everywhere.

Whether anybody stands beside a reader is said of its location, once and for all
(docs.stripe.com/terminal/unattended-readers): a site with readers of both kinds has two locations.
The parameter is a preview's (``preview``). What an answer does not say of it we have noted in the
metadata of the locations that we made; of any other location it is not known then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import stripe

from wattledger.clock import utc_text
from wattledger.entitlements.addresses import PostalAddress
from wattledger.errors import BadInput, ConfigError, ExternalFault
from wattledger.ids import derive
from wattledger.payments.model import Processor
from wattledger.payments.stripe import preview
from wattledger.payments.stripe.client import client_of
from wattledger.payments.stripe.failures import said
from wattledger.payments.stripe.objects import id_of, plain
from wattledger.payments.stripe.objects import reader as reader_facts
from wattledger.payments.stripe.operation import PAGE, PAGES_MAX

SITE = "wattledger_site"
"""In the metadata: whose location, or reader, it is."""
_ATTENDED, _REGISTRATION = "wattledger_attended", "wattledger_registration"
_ASKED = "wattledger_asked_for"
"""Whose it is to be, once it is what was asked for: two sites' requests are never the same one."""
_UNATTENDED = {"attended_type": "UNATTENDED", "unattended": {"premise_type": "OFF_PREMISE"}}
_AGAIN_MAX = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Listing = Callable[[Any], Awaitable[Any]]


class Location(msgspec.Struct, frozen=True):
    """Where readers stand. ``site``: the site that we made it for."""

    id: str
    name: str
    site: str | None = None
    unattended: bool | None = None
    """None: neither Stripe says it nor did we make it."""


class Reader(msgspec.Struct, frozen=True):
    """A reader as it is now; ``action`` is what it does, or did last."""

    id: str
    label: str
    device_type: str
    status: str | None
    last_seen_at: str | None
    location_id: str | None
    action: dict[str, Any] | None
    registration: str | None = None


class Wanted(msgspec.Struct, frozen=True):
    """A reader that is to be registered, by the code that it shows."""

    site_id: str
    site_name: str
    code: str
    label: str
    unattended: bool = False
    address: PostalAddress | None = None
    """Needed where the site has no location yet."""

    @property
    def mark(self) -> str:
        """By which the reader is found back."""
        return derive("reg", self.site_id, self.code, self.label, int(self.unattended))


class Fleet:
    """The readers of one processor account. Each call raises ConfigError for a key that Stripe does
    not take, ExternalFault without an answer, and BadInput with the parameter that it refuses."""

    def __init__(self, processor: Processor, secrets: Callable[[str], str]) -> None:
        self._account = processor
        self._terminal: Any = client_of(processor, secrets).v1.terminal

    async def locations(self) -> list[Location]:
        """All of them, the newest first."""
        return [_location(row) for row in await self._all(self._terminal.locations.list_async)]

    async def readers(self) -> list[Reader]:
        """All of them, the newest first."""
        return [_reader(row) for row in await self._all(self._terminal.readers.list_async)]

    async def location_for(self, wanted: Wanted) -> tuple[Location, bool]:
        """The site's location, and whether it was made now."""
        mine = [
            location
            for location in await self.locations()
            if location.site == wanted.site_id and bool(location.unattended) is wanted.unattended
        ]
        if mine:
            return mine[-1], False  # the oldest: the first that was made counts
        if wanted.address is None:
            raise BadInput("address", None, "one")
        params: dict[str, Any] = {
            "display_name": wanted.site_name,
            "address": wanted.address.parts,
        }
        if not wanted.unattended:
            marks = {SITE: wanted.site_id, _ATTENDED: "yes"}
            row = await self._make(self._terminal.locations, {**params, "metadata": marks})
            return _location(row), True
        asked = {"metadata": {_ASKED: wanted.site_id}, **_UNATTENDED}
        row = await self._make(self._terminal.locations, {**params, **asked})
        # Marked once Stripe has called it so: what it did not call unattended is never found back.
        with self._told():
            marks = {SITE: wanted.site_id, _ATTENDED: "no"}
            row = await self._terminal.locations.update_async(row.id, {"metadata": marks})
        return _location(row), True

    async def register(self, wanted: Wanted, location: Location) -> tuple[Reader, bool]:
        """The reader of that code, and whether it was registered now."""
        mine = [reader for reader in await self.readers() if reader.registration == wanted.mark]
        if mine:
            return mine[-1], False
        params = {
            "registration_code": wanted.code,
            "label": wanted.label,
            "location": location.id,
            "metadata": {SITE: wanted.site_id, _REGISTRATION: wanted.mark},
        }
        row = await self._make(self._terminal.readers, params)
        return _reader(row), True

    async def _make(self, service: Any, params: dict[str, Any]) -> Any:
        """What is asked for, under a key that says what. What Stripe repeats under it may be a
        fault of its own, or have been taken away since: the list that was read before has it not,
        so it is made anew, under a key that says what came of the one before."""
        asked = msgspec.json.encode(params, order="deterministic").decode()
        key = derive("make", self._account.id, asked)
        with self._told():
            for _ in range(_AGAIN_MAX):
                options = {"idempotency_key": f"wattledger:{key}", **preview.options(params)}
                try:
                    made = await service.create_async(params, options)
                except stripe.APIError as error:
                    if not _repeated(error):
                        raise
                    key = derive("again", key, "fault")
                    continue
                wanted = params.get("attended_type")
                if wanted and getattr(made, "attended_type", None) != wanted:
                    got = f"{made.id}, which Stripe does not call unattended"
                    raise BadInput("attended_type", got, "an account in Stripe's preview of it")
                if await _is_there(service, made.id):
                    return made
                key = derive("again", key, made.id)
        raise ExternalFault(
            f"processor {self._account.id!r}: Stripe repeats what it does not know any more"
        )

    async def _all(self, listing: Listing) -> list[Any]:
        rows: list[Any] = []
        query: dict[str, Any] = {"limit": PAGE}
        with self._told():
            for _ in range(PAGES_MAX):
                page = await listing(query)
                rows += page.data
                if not page.has_more:
                    return rows
                query["starting_after"] = page.data[-1].id
        raise ExternalFault(
            f"processor {self._account.id!r} has more than {PAGE * PAGES_MAX} readers or locations"
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Stripe's errors as ours."""
        name, variable = self._account.id, self._account.api_key_env
        try:
            yield
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            raise ConfigError(
                f"processor {name!r}: Stripe does not take the key in {variable}: {said(error)}"
            ) from None
        except stripe.InvalidRequestError as error:
            raise BadInput(error.param or "the request", error.code, said(error)) from None
        except stripe.StripeError as error:
            reached = not isinstance(error, stripe.APIConnectionError)
            why = " ".join(said(error).split()) if reached else "it can't be reached"
            raise ExternalFault(
                f"processor {name!r}: no answer from Stripe: {why}. The same command again makes"
                " nothing twice"
            ) from None


def _repeated(error: stripe.StripeError) -> bool:
    """Whether it is the answer to an earlier request under this key."""
    word = {name.lower(): value for name, value in (error.headers or {}).items()}
    return word.get("idempotent-replayed") == "true"


async def _is_there(service: Any, object_id: str) -> bool:
    try:
        found = await service.retrieve_async(object_id)
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        return False
    return getattr(found, "deleted", None) is not True


def _location(row: Any) -> Location:
    metadata = plain(row.metadata)
    word = getattr(row, "attended_type", None)
    ours = metadata.get(_ATTENDED)
    if word is not None:
        unattended: bool | None = word == "UNATTENDED"
    else:
        unattended = None if ours is None else ours == "no"
    return Location(row.id, row.display_name, metadata.get(SITE), unattended)


def _reader(row: Any) -> Reader:
    seen_ms = getattr(row, "last_seen_at", None)
    seen = None if seen_ms is None else utc_text(_EPOCH + timedelta(seconds=seen_ms // 1000))
    return Reader(
        row.id, row.label, row.device_type, row.status, seen, id_of(row.location),
        reader_facts(row)["action"], plain(row.metadata).get(_REGISTRATION),
    )  # fmt: skip
