"""Customers: created, changed, deleted; their cards leave with them."""

from __future__ import annotations

from wattledger.sandbox import cards
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, invalid, merged

_PLAIN_FIELDS = ("description", "email", "name", "phone", "tax_exempt", "preferred_locales")


def create(store: Store, _: Obj, p: Obj) -> Obj:
    method = cards.method_for(store, p["payment_method"]) if p.get("payment_method") else None
    if method:
        cards.refuse_declining(store, method)
    customer = store.add(
        {
            "id": store.new_id("cus"),
            "object": "customer",
            "address": p.get("address") or None,
            "balance": 0,
            "created": store.now_s,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": p.get("description"),
            "discount": None,
            "email": p.get("email"),
            "invoice_prefix": None,
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": merged({}, p.get("metadata")),
            "name": p.get("name"),
            "phone": p.get("phone"),
            "preferred_locales": p.get("preferred_locales", []),
            "shipping": p.get("shipping") or None,
            "tax_exempt": p.get("tax_exempt") or "none",
            "test_clock": None,
        }
    )
    store.emit("customer.created", customer)
    if method:
        cards.attach(store, {"id": method["id"]}, {"customer": customer["id"]})
    return customer


def retrieve(store: Store, path: Obj, _: Obj) -> Obj:
    """One that was deleted is still found, and says so."""
    deleted = store.tables["deleted_customer"].get(path["id"])
    return deleted or store.get("customer", path["id"])


def update(store: Store, path: Obj, p: Obj) -> Obj:
    customer = store.get("customer", path["id"], "customer")
    for field in _PLAIN_FIELDS:
        if field in p:
            customer[field] = p[field] or None
    for field in ("address", "shipping"):
        if field in p:
            customer[field] = p[field] or None
    if settings := p.get("invoice_settings"):
        _check_default(store, customer, settings)
        customer["invoice_settings"] |= settings
    customer["metadata"] = merged(customer["metadata"], p.get("metadata"))
    store.emit("customer.updated", customer)
    return customer


def _check_default(store: Store, customer: Obj, settings: Obj) -> None:
    method_id = settings.get("default_payment_method")
    if not method_id:
        return
    method = store.get("payment_method", method_id, "invoice_settings[default_payment_method]")
    if method["customer"] != customer["id"]:
        raise invalid(
            "The customer does not have a payment method with the ID "
            f"{method_id}. The payment method must be attached to the customer.",
            "invoice_settings[default_payment_method]",
        )


def delete(store: Store, path: Obj, _: Obj) -> Obj:
    customer = store.get("customer", path["id"], "customer")
    for method in store.tables["payment_method"].values():
        if method["customer"] == customer["id"]:
            cards.let_go(store, method)
    del store.tables["customer"][customer["id"]]
    gone = {"id": customer["id"], "object": "customer", "deleted": True}
    store.tables["deleted_customer"][customer["id"]] = gone
    store.by_id[customer["id"]] = gone
    store.emit("customer.deleted", customer)
    return gone
