"""Rates, attempts and passwords, without a socket."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wattledger.config import Server, parse
from wattledger.errors import BadInput
from wattledger.gateway.admission import Remembered
from wattledger.gateway.limits import Bucket, Failures, Limits, Pace


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=10, burst=3)
    assert [bucket.take(100.0) for _ in range(3)] == [0, 0, pytest.approx(0)]
    # 10 a second: the fourth is there after 0.1 s, the fifth after 0.2 s.
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.0) == pytest.approx(0.2)
    # Two were taken in advance: 0.5 s later all three are there again.
    assert [bucket.take(100.5) for _ in range(3)] == [0, 0, pytest.approx(0)]
    assert bucket.take(100.5) == pytest.approx(0.1)


def _pace(**limits: int) -> Pace:
    found = replace(Limits.of(Server()), **limits)
    return Pace(found, Bucket(found.frames_per_s_in_all, found.frames_per_s_in_all))


def test_who_is_over_the_rate_for_long_is_told_apart_from_a_burst() -> None:
    pace = _pace(frames_per_s=1, over_rate_s=10)
    assert [pace.frame(0.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0)]
    assert pace.frame(0.0) == pytest.approx(1)
    now = 1.0
    while now <= 10:  # as fast as it may: each waits for its second
        assert pace.frame(now) > 0
        assert not pace.is_over_for_long(now)
        now += 1
    assert pace.frame(11.0) > 0
    assert pace.is_over_for_long(11.0)
    # A pause long enough for the bucket to fill ends it.
    assert pace.frame(60.0) == 0
    assert not pace.is_over_for_long(60.0)


def test_the_rate_in_all_is_shared_and_its_waits_are_short() -> None:
    limits = replace(Limits.of(Server()), frames_per_s_in_all=2)
    in_all = Bucket(2, 2)
    one, two = Pace(limits, in_all), Pace(limits, in_all)
    assert [one.frame(0.0), two.frame(0.0)] == [0, 0]
    assert two.frame(0.0) == pytest.approx(0.5)
    assert [one.frame(0.0) for _ in range(3)] == [pytest.approx(1), 1, 1]  # a second at most
    assert not one.is_over_for_long(10_000)


def test_refused_attempts_count_by_address_and_are_forgotten() -> None:
    failures = Failures(per_minute=2)
    for _ in range(2):
        assert failures.wait_s("a", 0.0) == 0
        failures.failed("a", 0.0)
    assert failures.wait_s("a", 0.0) == pytest.approx(30)
    assert failures.wait_s("b", 0.0) == 0
    assert failures.wait_s("a", 31.0) == 0
    failures._ADDRESSES_MAX = 2  # type: ignore[misc]
    for address in ("b", "c"):
        failures.failed(address, 31.0)
    assert list(failures._by_address) == ["b", "c"]


def test_a_password_is_remembered_for_its_charge_point_and_hash() -> None:
    known = Remembered(most=2)
    known.add(("CP-1", "secret", "hash"))
    assert ("CP-1", "secret", "hash") in known
    for other in (("CP-2", "secret", "hash"), ("CP-1", "secrets", "hash"),
                  ("CP-1", "secret", "hash2"), ("CP-1s", "ecret", "hash")):  # fmt: skip
        assert other not in known
    known.add(("b", "", ""))
    known.add(("c", "", ""))
    assert ("CP-1", "secret", "hash") not in known  # the oldest makes room
    assert ("c", "", "") in known
    assert b"secret" not in repr(vars(known)).encode()


def test_every_limit_is_a_setting() -> None:
    server = Server(ocpp_frames_per_s=7, ocpp_pong_s=9)
    assert (Limits.of(server).frames_per_s, Limits.of(server).pong_s) == (7, 9)


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ({"ocpp_plain": False}, "ocpp_tls_port"),
        ({"ocpp_tls_port": 8017}, "ocpp_tls_cert"),
        ({"ocpp_tls_port": 8017, "ocpp_tls_cert": "c.pem"}, "ocpp_tls_key"),
        ({"ocpp_tls_port": 8016, "ocpp_tls_cert": "c", "ocpp_tls_key": "k"}, "ocpp_tls_port"),
        ({"ocpp_frames_per_s": 0}, "ocpp_frames_per_s"),
        ({"ocpp_frame_max_bytes": 100}, "ocpp_frame_max_bytes"),
    ],
)
def test_settings_that_leave_nothing_to_connect_to(server: dict[str, object], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse({"server": server})
    assert caught.value.path == f"$.server.{path}"
