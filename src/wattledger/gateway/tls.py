"""TLS for charge points (security profile 2): a certificate that is read again when it changes."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from pathlib import Path

from wattledger.errors import ConfigError

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0


class Certificate:
    """A certificate chain and its key, in PEM files that somebody else renews.

    New handshakes get the new certificate; connections that are open keep theirs. A pair that does
    not fit, as while it is being written, changes nothing.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain, self._key = chain, key
        self._seen = self._stamp()
        try:
            self._loaded(self.context())
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"server.ocpp_tls_cert, server.ocpp_tls_key: {chain} and {key} can't be used as a"
                f" certificate with its key: {error}"
            ) from None
        self._context = self._loaded(self.context())

    @staticmethod
    def context() -> ssl.SSLContext:
        """TLS 1.2 and later, as all of OCPP asks (security white paper, 2.0.1 A00.FR.316)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @property
    def live(self) -> ssl.SSLContext:
        """What to listen with."""
        return self._context

    def reload_if_changed(self) -> bool:
        """Whether there was a new certificate, which is now used."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        try:
            self._loaded(self.context())  # a pair that does not fit would spoil the live one
            self._loaded(self._context)
        except (OSError, ssl.SSLError) as error:
            log.warning("the new certificate in %s is not used: %s", self._chain, error)
            return False
        self._seen = stamp
        log.info("new certificate from %s", self._chain)
        return True

    async def watch(self) -> None:
        """Look for a new one now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.reload_if_changed()

    def _loaded(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.load_cert_chain(self._chain, self._key)
        return context

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in (self._chain, self._key))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
