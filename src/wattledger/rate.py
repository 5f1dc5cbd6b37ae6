"""How often somebody may ask, on pages that anybody may open: machine time, in memory.

Each process counts for itself, and forgets with a restart. What has to be exact is counted
in the database.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, IPv6Network, ip_address
from time import monotonic

_ADDRESSES_MAX = 10_000


class Rate:
    """A bucket for each address, or whatever names somebody: ``burst`` at once, and ``per_minute``
    in the long run."""

    def __init__(self, per_minute: int, burst: int) -> None:
        self._every_ms = 60_000 // per_minute
        self._burst_ms = self._every_ms * burst
        self._free_at_ms: OrderedDict[str, int] = OrderedDict()

    @property
    def retry_after_s(self) -> int:
        """How long whoever may not is asked to wait."""
        return -(-self._every_ms // 1000)

    def allows(self, address: str) -> bool:
        """Whether it may now; counted where it may. Whoever was not here for long is forgotten."""
        address = _whose(address)
        now_ms = int(monotonic() * 1000)
        at_ms = max(self._free_at_ms.pop(address, 0), now_ms) + self._every_ms
        allowed = at_ms - now_ms <= self._burst_ms
        self._free_at_ms[address] = at_ms if allowed else at_ms - self._every_ms
        while len(self._free_at_ms) > _ADDRESSES_MAX:
            self._free_at_ms.popitem(last=False)
        return allowed

    def is_used_up(self, address: str) -> bool:
        """Whether it may not now; nothing is counted."""
        now_ms = int(monotonic() * 1000)
        at_ms = max(self._free_at_ms.get(_whose(address), 0), now_ms) + self._every_ms
        return at_ms - now_ms > self._burst_ms


def _whose(address: str) -> str:
    """Of IPv6 the network: whoever has one address has all 2^64 of it."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address) or found.ipv4_mapped is not None:
        return str(getattr(found, "ipv4_mapped", None) or found)
    return str(IPv6Network((int(found), 64), strict=False))
