"""Readers and the locations where they stand: made, changed, listed and taken away.

What a reader does is ``terminal``'s. Only simulated readers can be registered here, by the codes
that Stripe documents for its test mode; unlike the words that a real reader shows, such a code is
never used up.
"""

from __future__ import annotations

from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, StripeError, invalid, merged

_DEVICES = {
    "simulated-wpe": "simulated_wisepos_e",
    "simulated-s700": "simulated_stripe_s700",
    "simulated-s710": "simulated_stripe_s710",
    "simulated-v660p": "simulated_verifone_v660p",
    "simulated-ux700": "simulated_verifone_ux700",
    "simulated-p630": "simulated_verifone_p630",
    "simulated-m425": "simulated_verifone_m425",
}
_LINES = ("city", "country", "line1", "line2", "postal_code", "state")
# By country, as Stripe's page on locations has it; elsewhere a line and the country.
_IN_STATES = ("line1", "city", "state", "postal_code")
_IN_TOWNS = ("line1", "city", "postal_code")
_NEEDED = {
    **dict.fromkeys(("AU", "CA", "ES", "US"), _IN_STATES),
    **dict.fromkeys(("AT", "BE", "DE", "DK", "FR", "GB", "NL", "NZ", "SE"), _IN_TOWNS),
    **dict.fromkeys(("IE", "SG"), ("line1", "postal_code")),
}
# In previews only, and at the creation only: what a location is, it stays.
_EARLY = ("attended_type", "unattended")


def create_location(store: Store, _: Obj, p: Obj) -> Obj:
    for name in ("address", "display_name"):
        if not p.get(name):
            raise _missing(name)
    early = {name: p[name] for name in _EARLY if name in p}
    return store.add(
        {
            "id": store.new_id("tml"),
            "object": "terminal.location",
            "address": _address(p["address"]),
            "display_name": p["display_name"],
            "livemode": False,
            "metadata": merged({}, p.get("metadata")),
            **early,
        }
    )


def update_location(store: Store, path: Obj, p: Obj) -> Obj:
    location = store.get("terminal.location", path["id"], "location")
    if "address" in p:
        location["address"] = _address(p["address"])
    if p.get("display_name"):
        location["display_name"] = p["display_name"]
    location["metadata"] = merged(location["metadata"], p.get("metadata"))
    return location


def create_reader(store: Store, _: Obj, p: Obj) -> Obj:
    device = _DEVICES.get(p["registration_code"])
    if device is None:
        raise invalid(
            f"No such reader registration code: '{p['registration_code']}'",
            "registration_code",
            "resource_missing",
        )
    if p.get("location"):
        store.get("terminal.location", p["location"], "location")
    reader_id = store.new_id("tmr")
    return store.add(
        {
            "id": reader_id,
            "object": "terminal.reader",
            "action": None,
            "device_sw_version": "2.44.1.0",
            "device_type": device,
            "ip_address": "127.0.0.1",
            "label": p.get("label") or p["registration_code"],
            "last_seen_at": store.now_s * 1000,
            "livemode": False,
            "location": p.get("location") or None,
            "metadata": merged({}, p.get("metadata")),
            "serial_number": f"SIM-{reader_id}",
            "status": "online",
        }
    )


def update_reader(store: Store, path: Obj, p: Obj) -> Obj:
    reader = store.get("terminal.reader", path["id"], "reader")
    if p.get("label"):
        reader["label"] = p["label"]
    reader["metadata"] = merged(reader["metadata"], p.get("metadata"))
    return reader


def delete_reader(store: Store, path: Obj, _: Obj) -> Obj:
    """It belongs to no account any more, and can be registered again."""
    reader = store.get("terminal.reader", path["id"], "reader")
    del store.tables["terminal.reader"][reader["id"]]
    del store.by_id[reader["id"]]
    gone = {"id": reader["id"], "object": "terminal.reader", "deleted": True}
    store.tables["deleted_reader"][reader["id"]] = gone
    return gone


def deleted(store: Store, reader_id: str) -> Obj | None:
    """What is said of a reader that was taken away."""
    return store.tables["deleted_reader"].get(reader_id)


def _address(given: Obj) -> Obj:
    for name in ("country", *_NEEDED.get(given.get("country", ""), ("line1",))):
        if not given.get(name):
            raise _missing(f"address[{name}]")
    return dict.fromkeys(_LINES) | given


def _missing(name: str) -> StripeError:
    return invalid(f"Missing required param: {name}.", name, "parameter_missing")
