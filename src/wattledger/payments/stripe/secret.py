"""What the processor's own form needs of an intent: asked for when it is needed, kept nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

from wattledger.errors import WattledgerError
from wattledger.payments.model import Processor
from wattledger.payments.stripe.client import StripeGate

_log = logging.getLogger(__name__)
_NEVER_SHOWN = ("sk_", "rk_", "whsec_")


def publishable(processor: Processor, secrets: Callable[[str], str]) -> str | None:
    """The key that anybody may see. None where there is none, and where the variable has a secret
    one by mistake: that is shown to nobody."""
    name = processor.publishable_key_env
    try:
        key = secrets(name) if name is not None else None
    except WattledgerError:
        return None
    if key is not None and key.startswith(_NEVER_SHOWN):
        _log.error("%s has a secret key, where one that begins with pk_ belongs", name)
        return None
    return key


async def client_secret(
    processor: Processor, secrets: Callable[[str], str], intent_id: str
) -> str | None:
    """None where the processor has no such intent. Raises ExternalFault when it does not answer."""
    return await _gate(processor, secrets).client_secret(intent_id)


@lru_cache(maxsize=32)
def _gate(processor: Processor, secrets: Callable[[str], str]) -> StripeGate:
    """One for each account as it is configured: its connections are used again."""
    return StripeGate(processor, secrets)
