"""How a CPMS is asked, and how often."""

from __future__ import annotations

import pytest

from wattledger.config import Server
from wattledger.entitlements.model import Proxy
from wattledger.gateway.limits import Limits
from wattledger.gateway.upstream import Backoff, Door, Refused, close_code, spread


def test_waits_double_up_to_a_bound_and_differ_between_charge_points() -> None:
    backoff = Backoff(jitter=lambda *_: 1.0)
    assert [backoff.wait_s("A", tries) for tries in (0, 1, 2, 5, 6, 999)] == [1, 2, 4, 32, 60, 60]
    assert backoff.wait_s("A", 0, refused=True) == 300
    assert Backoff(jitter=lambda *_: 0.0).wait_s("A", 2) == 2
    found = {spread(name, tries) for name in "ABC" for tries in range(100)}
    assert len(found) == 300
    assert 0 <= min(found) < 0.05
    assert 0.95 < max(found) <= 1


async def test_a_login_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy("ws://127.0.0.1:1/{charge_point_id}?x", password_env="CPMS_PASSWORD")
    door = Door(proxy, "A/1 é", "Basic theirs", Limits.of(Server()))
    assert door.url == "ws://127.0.0.1:1/A%2F1%20%C3%A9?x"
    with pytest.raises(Refused, match="CPMS_PASSWORD"):
        await door.open(["ocpp1.6"], 1)
    monkeypatch.setenv("CPMS_PASSWORD", "p")
    assert door.header() == "Basic QS8xIMOpOnA="  # A/1 é:p
    assert Door(Proxy("ws://h/"), "A", "Basic theirs", door.limits).header() == "Basic theirs"


@pytest.mark.parametrize(
    ("code", "passed"),
    [(1000, 1000), (1011, 1011), (4321, 4321), (1005, 1001), (1006, 1001), (None, 1001)],
)
def test_what_a_close_is_passed_on_as(code: int | None, passed: int) -> None:
    """Codes that stand for no close frame can't be sent in one (RFC 6455 §7.4.1)."""
    assert close_code(code) == passed
