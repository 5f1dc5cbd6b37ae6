"""``python -m wattledger.sandbox``: the stand-in as a process of its own, on loopback only."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from datetime import UTC, datetime

import uvicorn

from wattledger.clock import require_utc
from wattledger.errors import ConfigError
from wattledger.sandbox.app import Settings, build
from wattledger.sandbox.faults import DroppableProtocol

_DEFAULT_KEY = "sk_test_sandbox"


class _AnnouncingServer(uvicorn.Server):
    """Says where it listens, once it does: one JSON line on stdout."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or []:
            print(json.dumps({"ready": True, "port": listening.getsockname()[1]}), flush=True)


def _secret(name: str | None, what: str) -> str:
    """The value of the environment variable ``name``; secrets never stand on a command line."""
    value = os.environ.get(name or "", "")
    if name and not value:
        raise ConfigError(f"{what}: the environment variable {name} is not set")
    return value


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wattledger.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--stripe-webhook-url", help="where Stripe's events are delivered")
    parser.add_argument("--stripe-webhook-secret-env", help="the variable with the endpoint secret")
    parser.add_argument("--receiver-secret-env", help="the variable with the whsec_… secret")
    parser.add_argument("--now", help="business time at the start, ISO with a zone")
    parser.add_argument(
        "--clock",
        choices=("driven", "running"),
        default="driven",
        help="driven: stands still until POST /_sim/clock; running: as the machine's does",
    )
    parser.add_argument(
        "--limits", choices=("off", "test", "live"), default="off", help="Stripe's rate limits"
    )
    parser.add_argument("--payout-arrival-business-days", type=int, default=1)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Serve until the process is ended."""
    arguments = _arguments(argv)
    start = datetime.fromisoformat(arguments.now) if arguments.now else datetime.now(UTC)
    settings = Settings(
        start=require_utc(start),
        api_key=os.environ.get("STRIPE_SANDBOX_KEY", _DEFAULT_KEY),
        stripe_webhook_url=arguments.stripe_webhook_url,
        stripe_webhook_secret=_secret(arguments.stripe_webhook_secret_env, "Stripe webhooks")
        or "whsec_sandbox",
        # The library refuses an empty secret; this one is "sandbox-receiver" in base64.
        receiver_secret=_secret(arguments.receiver_secret_env, "receiver")
        or "whsec_c2FuZGJveC1yZWNlaXZlcg==",
        payout_arrival_business_days=arguments.payout_arrival_business_days,
        clock=arguments.clock,
        limits=arguments.limits,
    )
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", arguments.port))
    config = uvicorn.Config(
        build(settings),
        http=DroppableProtocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    _AnnouncingServer(config).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1:])
