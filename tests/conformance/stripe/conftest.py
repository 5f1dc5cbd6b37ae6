"""The account of the rules: the sandbox, or Stripe's own test mode with STRIPE_TEST_KEY."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from money_side import MoneySide
from stripe_account import Account

MONDAY = "2026-11-23T10:00:00Z"


def _running(*more: str) -> Iterator[Account]:
    command = [sys.executable, "-m", "wattledger.sandbox", "--port", "0", "--now", MONDAY, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ}) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        account = Account("sk_test_sandbox", f"http://127.0.0.1:{port}")
        yield account
        account.http.close()
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def _account() -> Iterator[Account]:
    key = os.environ.get("STRIPE_TEST_KEY")
    if key:
        assert key.startswith(("sk_test_", "rk_test_")), "STRIPE_TEST_KEY: a test mode's key"
        yield Account(key, None)
    else:
        yield from _running()


@pytest.fixture
def account(_account: Account) -> Iterator[Account]:
    """The account, without faults or limits of the test before."""
    yield _account
    if _account.is_sandbox:
        _account.http.delete("/_sim/faults")
        _account.sim("limits", limits="off")
        _account.sim("account", country="US", pricing="ic_plus")


@pytest.fixture
def money(account: Account) -> MoneySide:
    """The account, seen from its money."""
    return MoneySide(account)
