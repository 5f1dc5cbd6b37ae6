"""What a configuration may say of the CPMS that charge points belong to."""

from __future__ import annotations

from urllib.parse import urlsplit

from wattledger.entitlements.model import PLACE, Proxy, Site
from wattledger.errors import BadInput

_URL = f"ws:// or wss:// with a host, and {PLACE} where the charge point's id goes"


def check_proxies(path: str, site: Site) -> None:
    """Raises BadInput with the path of the first thing that can't be meant."""
    if site.proxy is not None:
        _check(f"{path}.proxy", site.proxy)
    for i, point in enumerate(site.charge_points):
        where = f"{path}.charge_points[{i}].proxy"
        if point.proxy is True:
            raise BadInput(where, True, "a table with the CPMS's url, or false")
        if isinstance(point.proxy, Proxy):
            _check(where, point.proxy)


def _check(path: str, proxy: Proxy) -> None:
    try:
        parts = urlsplit(proxy.url)
        fine = parts.scheme in ("ws", "wss") and bool(parts.hostname) and not parts.fragment
        fine = fine and parts.port != 0
    except ValueError:
        fine = False
    # A password in the URL would stand in the configuration, and in anomalies.
    if not fine or "@" in parts.netloc or PLACE not in proxy.url or PLACE in parts.netloc:
        raise BadInput(f"{path}.url", proxy.url, _URL)
    if proxy.user is not None and proxy.password_env is None:
        expected = "the name of an environment variable: user is set"
        raise BadInput(f"{path}.password_env", None, expected)
