"""What the operator has configured, and who comes when: both drawn from the seed."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from rig.network import SECRETS
from simulation.payments.others import Others
from simulation.payments.processors import Account, Processors
from simulation.payments.street import SAMPLE, Driver, Point, Street, Visit
from simulation.payments.vendors import TAGS, TAKES, WAITS

NORTH, RHINE = "stripe", "stripe-eu"
ENTITIES = {NORTH: "north", RHINE: "rhine"}
"""Whose account it is."""
# Cards that can be saved, and what each of them does later.
SAVED = (
    "visa", "mastercard", "amex", "visa_debit", "chargeCustomerFail", "createDispute",
    "createDisputeInquiry", "createIssuerFraudRecord", "pendingRefund", "refundFail",
    "debit_incrementalAuthAuthorized", "credit_disableEnterpriseCardFeatures",
    "authenticationRequiredSetupForOffSession", "debit_partialAuthorization",
    "debit_partialIncrement",
)  # fmt: skip
# Cards of guests: named anew each time they pay.
GUESTS = (
    "visa", "mastercard", "amex", "discover", "chargeDeclined", "chargeDeclinedInsufficientFunds",
    "createDispute", "refundFail", "debit_incrementalAuthAuthorized",
)  # fmt: skip


_PLANS = {"card": "walk-up"}


def points(readers: dict[str, str]) -> list[Point]:
    """Four charge points of the first entity, two of the second; a terminal of each kind."""
    vendors = {"D-2": WAITS, "R-0": TAKES}
    return [
        Point(name, account, readers.get(name), vendors.get(name), currency)
        for account, currency, names in (
            (NORTH, "USD", ("D-0", "D-1", "D-2", "D-3")), (RHINE, "EUR", ("R-0", "R-1")),
        )
        for name in names
    ]  # fmt: skip


def settings(found: Processors, others: Others, rng: Random, customers: dict[str, str],
             readers: dict[str, str], drivers: list[Driver], *, faulty: bool
             ) -> dict[str, Any]:  # fmt: skip
    """Two legal entities with an account each."""
    energy = [{"components": [{"dimension": "energy", "price": "0.60", "unit": "kWh"}]}]
    return {
        "policies": {"meter_interval_s": 0, "adjust_up": rng.choice(["waive", "debt"]),
                     **(_bounds_of_drivers(rng) if faulty else {})},
        "entity": [
            {"id": "north", "name": "North", "currency": "USD", "time_zone": "UTC"},
            {"id": "rhine", "name": "Rhine", "currency": "EUR", "time_zone": "Europe/Berlin"},
        ],
        "tariff": [
            {"id": name, "name": name, "currency": currency, "elements": energy}
            for name, currency in (("dollars", "USD"), ("euros", "EUR"))
        ],
        "processor": [
            {"id": name, "entity": entity, "kind": "stripe", "api_key_env": "RIG_STRIPE_KEY",
             "webhook_secret_env": "RIG_STRIPE_WEBHOOK", "base_url": found.accounts[name].url,
             "timeout_s": 1, "rate_per_s": 1000, "endpoint_rate_per_s": 1000,
             **(_bound(rng) if faulty else {}),
             "holds": [{"below_power_w": 50_000, "amount": "10.00"}, {"amount": "25.00"}]}
            for name, entity in ((NORTH, "north"), (RHINE, "rhine"))
        ],
        "plan": [
            {"id": "walk-up", "name": "Walk-up", "route": "card"},
            {"id": "app", "name": "App", "route": "app"},
            {"id": "fleet", "name": "Fleet", "route": "invoice"},
            {"id": "wallet", "name": "Prepaid", "route": "wallet"},
            {"id": "staff", "name": "Staff", "route": "free"},
            {"id": "guest", "name": "Guests", "route": "checkout", "ad_hoc": True},
        ],
        "account": [
            {"id": d.account, "name": d.name, "tokens": [d.token],
             "plan": _PLANS.get(d.route, d.route),
             "shortfall": rng.choice(["waive", "debt"]),
             **({"email": d.email} if d.email else {}),
             "consent": d.route == "wallet" or (d.route in ("card", "app") and rng.random() < 0.6),
             **({"payment_method": customers[f"{d.name}/pm"], "customer": customers[d.name]}
                if d.name in customers else {"payment_method": d.card} if d.route == "card"
                else {})}
            for d in drivers if d.account
        ],
        "payment": [_rule(rng)],
        "site": [
            {"id": "depot", "name": "Depot", "entity": "north", "time_zone": "UTC",
             "tariff": "dollars", "tax_percent": "8.875", "processor": NORTH,
             "charge_points": [{"id": f"D-{n}", "power_w": 22_000} for n in range(4)]},
            {"id": "river", "name": "River", "entity": "rhine", "time_zone": "Europe/Berlin",
             "tariff": "euros", "tax_percent": "19", "processor": RHINE,
             "charge_points": [{"id": f"R-{n}", "power_w": 150_000} for n in range(2)]},
        ],
        "terminal": [
            {"id": f"t-{point}", "site": "depot" if point.startswith("D") else "river",
             "provider": "stripe", "serves": [point], "reader": reader}
            for point, reader in readers.items()
        ] + [
            {"id": f"t-{vendor}", "site": site, "provider": vendor, "serves": [point],
             "tokens": [TAGS[vendor]], "mode": mode}
            for vendor, site, point, mode in (
                (WAITS, "depot", "D-2", "we_send"), (TAKES, "river", "R-0", "vendor_captures"),
            )
        ],
        "terminal_vendor": [
            {"id": vendor, "entity": entity, "kind": "http", "secret_env": "RIG_BOOKS",
             "url": f"http://127.0.0.1:{others.vendor_port}", "timeout_s": 1}
            for vendor, entity in ((WAITS, "north"), (TAKES, "rhine"))
        ],
        "mail": {"host": "127.0.0.1", "port": others.mail_port, "security": "none",
                 "sender": "Bills <bills@example.com>", "timeout_s": 1},
    }  # fmt: skip


def _bound(rng: Random) -> dict[str, Any]:
    """What is more than the largest hold waits for a person: a second charge, or much at once into
    a wallet."""
    return {"charge_max": "25.00"} if rng.random() < 0.6 else {}


def _bounds_of_drivers(rng: Random) -> dict[str, Any]:
    """So does a driver's second payment of a day, and a refund that is not small."""
    return {"charges_per_driver_per_day_max": rng.choice([10, 1]),
            **({"refund_limit": "1.00"} if rng.random() < 0.5 else {})}  # fmt: skip


def _rule(rng: Random) -> dict[str, Any]:
    """How money is collected: each step is there or not."""
    return {
        "increment_at_percent": rng.choice([0, 80]),
        "stop_at_ceiling": rng.random() < 0.5,
        "overcapture": rng.random() < 0.5,
        "second_charge": rng.random() < 0.6,
        "below_minimum": rng.choice(["waive", "carry"]),
        "zero_energy": rng.choice(["charge", "cancel"]),
        "lapse": rng.choice(["capture", "stop"]),
        "gone": rng.choice(["second_charge", "debt", "waive"]),
        "more": rng.choice(["waive", "debt", "charge"]),
        "block_on_debt": rng.random() < 0.5,
        "dunning_days": [1, 3, 7],
        "extended_authorization": rng.random() < 0.3,
        "partial_authorization": rng.random() < 0.5,
    }


def people(rng: Random) -> list[Driver]:
    """Accounts by token and by app, fleets, and guests."""
    found = [Driver(f"fleet-{n}", "fleet", account=f"fleet-{n}", token=f"FLEET-{n}")
             for n in range(1)]  # fmt: skip
    found += [Driver(f"wallet-{n}", "wallet", account=f"wallet-{n}", token=f"WALLET-{n}")
              for n in range(2)]  # fmt: skip
    found += [Driver("staff", "staff", account="staff", token="STAFF"), Driver("cpms", "external")]
    for n in range(8):
        card = f"pm_card_{rng.choice(SAVED)}"
        route = "card" if n < 5 else "app"
        found.append(Driver(f"d{n}", route, card, f"d{n}", f"TOKEN-{n}"))
    found.append(Driver("broke", "card", "pm_card_chargeDeclined", "broke", "BROKE"))
    for n in range(6):
        route = "checkout" if n < 3 else "terminal"
        found.append(Driver(f"guest-{n}", route, f"pm_card_{rng.choice(GUESTS)}"))
    found += [Driver(f"tap-{n}", "vendor") for n in range(3)]
    for driver in found:
        if driver.route in ("card", "app", "checkout", "wallet") and rng.random() < 0.4:
            driver.email = f"{driver.name}@example.com"
    return found


async def customers(account: Account, drivers: list[Driver]) -> dict[str, str]:
    """Each account's card is saved with a customer of its own."""
    found: dict[str, str] = {}
    for driver in drivers:
        if driver.route not in ("card", "app", "wallet") or driver.name == "broke":
            continue
        customer = await account.ask("POST", "/v1/customers", name=driver.name)
        method = await account.ask(
            "POST", f"/v1/payment_methods/{driver.card}/attach", customer=customer["id"]
        )
        found[driver.name], found[f"{driver.name}/pm"] = customer["id"], method["id"]
    return found


async def readers(found: Processors) -> dict[str, str]:
    """A reader at a charge point of each site."""
    placed: dict[str, str] = {}
    for account, point in ((found.accounts[NORTH], "D-3"), (found.accounts[RHINE], "R-1")):
        location = await account.ask(
            "POST", "/v1/terminal/locations", **{
                "display_name": point, "address[country]": "US", "address[line1]": "1 Main St",
                "address[city]": "Springfield", "address[state]": "NY",
                "address[postal_code]": "10001",
            },
        )  # fmt: skip
        reader = await account.ask(
            "POST", "/v1/terminal/readers", registration_code="simulated-wpe",
            location=location["id"],
        )  # fmt: skip
        placed[point] = reader["id"]
    return placed


def come(street: Street, rng: Random, drivers: list[Driver], begin: datetime, visits: int) -> None:
    """Cars at each charge point, one after the other."""
    free_at = {point.id: begin + timedelta(minutes=rng.randint(1, 60)) for point in street.points}
    for number, driver in enumerate(d for d in drivers if d.route == "wallet"):
        street.fill(driver, begin + timedelta(minutes=number), f"first-{number}",
                    rng.choice([1_500, 4_000]))  # fmt: skip
    for number in range(visits):
        point = rng.choice(street.points)
        driver = rng.choice([d for d in drivers if _fits(d, point)])
        faulty = street.faulty
        samples = [rng.randint(0, 8_000) for _ in range(rng.randint(1, 8))]
        if faulty and rng.random() < 0.1:
            samples = []
        visit = Visit(
            number, driver, point, samples,
            late_days=rng.randint(5, 9) if faulty and rng.random() < 0.1 else 0,
            correction_wh=_correction_wh(rng, samples) if faulty and rng.random() < 0.25 else 0,
            refund=rng.choice(["whole", "some", "line", None, None, None]),
        )  # fmt: skip
        when = free_at[point.id]
        street.arrive(visit, when)
        free_at[point.id] = when + (len(samples) + 2) * SAMPLE + timedelta(
            minutes=rng.randint(1, 600))  # fmt: skip


def _correction_wh(rng: Random, samples: list[int]) -> int:
    """By how much a stop tells the register wrong: enough to be seen, and no car gives anything
    back."""
    wrong_wh = rng.randint(100, 800)
    return wrong_wh if rng.random() < 0.5 or sum(samples) < wrong_wh else -wrong_wh


def _fits(driver: Driver, point: Point) -> bool:
    """Saved cards are the first entity's: two entities never share an account."""
    if driver.route == "terminal":
        return point.reader is not None
    if driver.route == "vendor":
        return point.vendor is not None
    return driver.route in ("checkout", "fleet", "staff", "external") or point.processor == NORTH


SECRETS_OF_THE_HOUSE = {**SECRETS}
