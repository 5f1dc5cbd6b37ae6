"""What each process says when all is done, gathered for comparison."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import msgspec

from wattledger.demo import setup
from wattledger.demo.cpms import cpms_amount_minor
from wattledger.demo.drivers import Driver
from wattledger.demo.plan import Plan
from wattledger.demo.report import Identity, count_mismatches, identities
from wattledger.errors import ExternalFault

_PAGE = 1000


def collect(
    plan: Plan, record: dict[str, Any], ports: setup.Ports, environment: dict[str, str]
) -> tuple[dict[str, Any], list[Identity]]:
    """The server's report, completed with what only the others know, and its identities."""
    key = environment[setup.DRIVER_KEY_ENV]
    with (
        httpx.Client(
            base_url=ports.http_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        ) as server,
        httpx.Client(base_url=ports.sandbox_url, timeout=60, trust_env=False) as sandbox,
    ):
        result = _get(server, "/v1/report")
        listed = _sessions(server)
        processor = _get(sandbox, "/_sim/state")["totals"].get("usd", {})
        books = _get(sandbox, f"/receiver/{setup.TARGET}/_report")
        captures = [
            entry
            for entry in _get(sandbox, "/_sim/requests", path="/v1/payment_intents/*/capture")
            if entry["status"] == 200 and not entry["replayed"]
        ]
    delivered = record["delivered"]
    afar = {s["key"] for s in delivered if s["stopped_from_afar"]}
    cast = Counter(session.driver for session in plan.sessions)
    outside = {
        "energy_wh": sum(s["energy_wh"] for s in delivered),
        "refused": record["refused"],
        "blocked": cast[Driver.BLOCKED],
        "remote_stops": sum(s.key in afar for s in plan.sessions if s.driver is Driver.DECLINED),
        "declined": cast[Driver.DECLINED],
        "captures": len(captures),
        "cards": cast[Driver.WALK_UP] + cast[Driver.MEMBER] + cast[Driver.TERMINAL],
        "cpms_minor": sum(cpms_amount_minor(s.energy_wh) for s in plan.sessions if s.external),
        "captured_minor": processor.get("captured_minor", 0),
        "fees_minor": processor.get("fees_minor", 0) + processor.get("disputed_minor", 0),
        "refunded_minor": processor.get("refunded_minor", 0),
        "books_minor": books["total_minor"].get("USD", 0),
        "books_messages": books["received"],
        "books_rejected": books["rejected"] + books["conflicting"],
    }
    try:
        result["sessions"] = {"replayed": len(delivered), **result["sessions"]}
        # Ours, whatever the server says: who replayed them knows how many there were.
        result["sessions"]["replayed"] = len(delivered)
        # For a declined hold, or because the running cost came close to the hold.
        result["sessions"]["stopped_from_afar"] = len(afar)
        mismatched = count_mismatches(delivered, listed)
        result["energy_wh"]["mismatched_sessions"] = mismatched
        found = identities(result, outside)
    except (KeyError, TypeError) as error:
        raise ExternalFault(
            f"GET /v1/report lacks what the demo shows: {error!r} in {json.dumps(result)[:2000]}"
        ) from error
    return result, found


def _sessions(server: httpx.Client) -> list[dict[str, Any]]:
    """All sessions the server lists, page by page."""
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        items = _get(server, "/v1/sessions", limit=str(_PAGE), **after)["items"]
        found += items
        if len(items) < _PAGE:
            return found
        after = {"after": items[-1]["id"]}


def _get(client: httpx.Client, path: str, /, **query: str) -> Any:
    try:
        answer = client.get(path, params=query)
    except httpx.HTTPError as error:
        raise ExternalFault(f"GET {path}: {type(error).__name__}: {error}") from error
    if not answer.is_success:
        raise ExternalFault(f"GET {path}: answered {answer.status_code}: {answer.text[:500]}")
    return msgspec.json.decode(answer.content)
