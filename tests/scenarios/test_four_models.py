"""Four ways to sell on one network, from the configuration to the bill, by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import four_models as net
from four_models import COMMUTER, FLEET, GUEST, MEMBER, MONDAY, PARTNER, stay
from wattledger.contract import Contract, Route
from wattledger.entitlements import decide, draw, make_contract
from wattledger.entitlements.publication import in_words, objections
from wattledger.rating import Charge, Draw, Terms, driver_text, price
from wattledger.sessions.model import Activity, Delivery
from wattledger.tariffs import Dimension
from wattledger.tariffs.findings import Severity

CONFIG = net.network()
SNAPSHOT = net.in_force(CONFIG)
# 30 kWh in an hour, then 25 minutes at the plug.
THIRTY = stay((0, 0), (60, 30_000), (85, 30_000), changes=((60, Activity.VEHICLE_IDLE),))


def contract_of(token: str, site: str, delivery: Delivery, **more: Any) -> Contract:
    """Decided and promised at the delivery's start."""
    at, point = delivery.started_at, f"{site.upper()}-1"
    decision = decide(SNAPSHOT, token, point, at, connector_id=1)
    assert decision.accepted, decision.reason
    contract = make_contract(
        SNAPSHOT, decision, point, as_of=at, known_at=at, connector_id=1, **more
    )
    assert contract.choice == decision.choice
    return contract


def charge_of(
    token: str, site: str, delivery: Delivery, draws: tuple[Draw, ...] = ()
) -> tuple[Contract, Charge]:
    contract = contract_of(token, site, delivery)
    tariff = net.tariff_of(CONFIG, contract.tariff_id)
    return contract, price(delivery, tariff, Terms.of(contract, draws))


def money(charge: Charge) -> tuple[int, int, int]:
    return charge.net_minor, charge.tax_minor, charge.total_minor


def costs(charge: Charge) -> dict[str, int]:
    return {line.text: line.net_minor for line in charge.lines if line.net_minor}


def test_it_may_be_published() -> None:
    """Nothing is refused; what has no effect yet is said."""
    found = objections(CONFIG, MONDAY)
    assert [o for o in found if o.finding.severity is Severity.ERROR] == []
    told = [in_words(o) for o in found]
    assert any(t.startswith("$.plan[2].allowance[0]: the allowance '50 kWh a month'") for t in told)


def test_per_kwh_by_a_guests_bank_card() -> None:
    contract, charge = charge_of(GUEST, "plaza", THIRTY)
    assert contract.choice == ("Tariff 'per-kwh': the tariff of site Plaza.",)
    # 30 kWh x 0.48 = 14.40; 25 idle minutes less 10 = 15 x 0.40 = 6.00; the card's fee 0.35.
    assert costs(charge) == {"Energy": 1440, "Idle": 600, "Card terminal": 35}
    # 20.75 and 9.5 % of it, 1.97125: 22.72.
    assert money(charge) == (2075, 197, 2272)
    assert "Tariff 'per-kwh': the tariff of site Plaza.\n" in driver_text(charge)


def test_a_members_rfid_token_has_25_percent_off_energy_only() -> None:
    _, charge = charge_of(MEMBER, "plaza", THIRTY)
    # 14.40 less 25 % = 10.80, the idle time stays 6.00: 16.80; tax 1.596. No fee: not ad hoc.
    assert costs(charge) == {"Energy": 1080, "Idle": 600}
    assert money(charge) == (1680, 160, 1840)


def test_a_members_energy_is_unlimited_at_one_site() -> None:
    contract, charge = charge_of(MEMBER, "garage", THIRTY)
    assert costs(charge) == {"Idle": 600}
    assert money(charge) == (600, 57, 657)
    assert contract.discounts is not None
    assert contract.discounts[0].text == "Member, unlimited at Garage"
    text = driver_text(charge, net.tariff_of(CONFIG, "per-kwh"), reasons=True)
    assert "A discount of 100 % (Member, unlimited at Garage) is taken off." in text


def test_per_minute_where_energy_may_not_be_sold() -> None:
    """Plugged in at 08:00, first energy after 08:05, the charger pauses 08:20 to 08:25."""
    delivery = stay(
        (0, 0), (5, 0), (15, 2_000), (34.5, 5_000),
        changes=((20, Activity.CHARGER_PAUSE), (25, Activity.CHARGING)),
    )  # fmt: skip
    for token, fee in ((GUEST, 35), (MEMBER, 0)):
        contract, charge = charge_of(token, "harbour", delivery)
        assert contract.tariff_id == "per-minute"
        # 15 + 9.5 minutes are 25 begun ones x 0.30 = 7.50; 1.00 a session. A member's 25 % are off
        # energy, of which none is sold.
        assert costs(charge) == {"Charging time": 750, "Session fee": 100} | (
            {"Card terminal": fee} if fee else {}
        )
        # South Carolina's matrix: 6 % on all of it, 8.50 (0.51) or 8.85 (0.531).
        assert money(charge) == (850 + fee, 51 + 2 * bool(fee), 901 + fee + 2 * bool(fee))
        assert charge.energy_wh == 5_000


def test_a_commuters_app_has_50_kwh_a_month_of_which_15_are_left() -> None:
    contract = contract_of(COMMUTER, "plaza", THIRTY)
    (allowance,) = contract.allowances
    left = draw(allowance, used=35_000, wanted=THIRTY.energy_wh)
    draws = (Draw(Dimension(allowance.dimension), left, allowance.text),)
    _, charge = charge_of(COMMUTER, "plaza", THIRTY, draws)
    # 15 kWh are included, 15 kWh x 0.48 = 7.20 are not; idle 6.00; tax 1.254.
    assert costs(charge) == {"Energy": 720, "Idle": 600}
    assert money(charge) == (1320, 125, 1445)
    included = [line for line in charge.lines if "included: 50 kWh a month" in line.text]
    assert [line.quantity for line in included] == [15_000]
    # Without a draw, all is billed.
    assert money(charge_of(COMMUTER, "plaza", THIRTY)[1]) == (2040, 194, 2234)


def test_by_the_time_of_day_on_an_account_that_is_exempt() -> None:
    # 15:00 to 17:00 in Chicago: 10 kWh x 0.25 = 2.50, 10 kWh x 0.40 = 4.00.
    delivery = stay((0, 0), (60, 10_000), (120, 20_000), start=MONDAY + timedelta(hours=7))
    contract, charge = charge_of(FLEET, "highway", delivery)
    assert (contract.tariff_id, contract.customer_class) == ("by-hour", "exempt")
    assert money(charge) == (650, 0, 650)
    (tax,) = charge.taxes
    assert (tax.name, tax.tax_minor, tax.exempt) == ("Sales tax", 0, "certificate TX-77")


def test_a_partners_drivers_have_a_price_of_their_own_at_night() -> None:
    night = MONDAY + timedelta(hours=15)  # 23:00
    delivery = stay((0, 0), (60, 20_000), start=night)
    contract, charge = charge_of(PARTNER, "highway", delivery)
    assert contract.choice == (
        "Tariff 'night': offer 1 of the configuration, at site Highway, paid by external, from "
        "22:00 to 06:00 local time.",
    )
    # 20 kWh x 0.19 = 3.80; 8 % = 0.304.
    assert money(charge) == (380, 30, 410)
    # By day, and for others by night, the site's hours hold: 20 kWh x 0.25 = 5.00.
    assert money(charge_of(PARTNER, "highway", stay((0, 0), (60, 20_000)))[1]) == (500, 40, 540)
    assert money(charge_of(COMMUTER, "highway", delivery)[1]) == (500, 40, 540)
    # Money taken elsewhere, whoever's token it was.
    taken = contract_of(COMMUTER, "highway", delivery, route=None)
    assert taken.tariff_id == "by-hour"
    at = delivery.started_at
    decision = decide(SNAPSHOT, COMMUTER, "HIGHWAY-1", at, connector_id=1, route=Route.EXTERNAL)
    outside = make_contract(
        SNAPSHOT, decision, "HIGHWAY-1", as_of=at, known_at=at, connector_id=1,
        route=Route.EXTERNAL,
    )  # fmt: skip
    assert outside.tariff_id == "night"
