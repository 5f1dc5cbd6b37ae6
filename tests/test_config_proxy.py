"""The CPMS of charge points in the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.errors import BadInput

URL = "wss://cpms.example/ocpp/{charge_point_id}"


def test_a_site_has_a_cpms_and_a_charge_point_may_have_another_or_none() -> None:
    points = [{"id": "A", "power_w": 1}, {"id": "B", "power_w": 1, "proxy": {"url": URL + "?b"}},
              {"id": "C", "power_w": 1, "proxy": False}]  # fmt: skip
    config = parse(whole(site__0__charge_points=points, site__0__proxy={"url": URL}))
    site, other = config.site
    urls = [proxy and proxy.url for proxy in map(site.proxy_of, site.charge_points)]
    assert urls == [URL, URL + "?b", None]
    assert [other.proxy_of(point) for point in other.charge_points] == [None]
    assert [v for v in versions(config) if v.key == "depot"] != [
        v for v in versions(parse(whole())) if v.key == "depot"]  # fmt: skip


@pytest.mark.parametrize(
    ("proxy", "path"),
    [
        ({"url": "https://cpms.example/{charge_point_id}"}, "$.site[0].proxy.url"),
        ({"url": "wss://cpms.example/ocpp"}, "$.site[0].proxy.url"),
        ({"url": "wss://{charge_point_id}.example/"}, "$.site[0].proxy.url"),
        ({"url": "wss://u:secret@cpms.example/{charge_point_id}"}, "$.site[0].proxy.url"),
        ({"url": "wss://[/{charge_point_id}"}, "$.site[0].proxy.url"),
        ({"url": URL, "user": "u"}, "$.site[0].proxy.password_env"),
        ({"url": URL, "authorize": "nobody"}, "$.site[0].proxy.authorize"),
        ({"url": URL, "answer_within_s": 0}, "$.site[0].proxy.answer_within_s"),
        ({"url": URL, "timeout": 1}, "$.site[0].proxy"),
    ],
)
def test_what_can_not_be_meant(proxy: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as found:
        parse(whole(site__0__proxy=proxy))
    assert found.value.path == path


def test_a_charge_point_can_not_be_proxied_to_nowhere() -> None:
    with pytest.raises(BadInput, match="false"):
        parse(whole(site__0__charge_points=[{"id": "A", "power_w": 1, "proxy": True}]))
