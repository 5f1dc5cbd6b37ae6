"""What the electricity costs the operator: utility tariffs, price series, bills, prices from cost.

Guarantees: no float, no guess. Every amount is exact until it is rounded, once for each line
and once for the month; however a load is cut into intervals, it costs the same; a field that
changes the bill and is not supported is refused with its path, one that does not is remarked.

Not promised: coincident demand, ratchets, reactive power, subscriptions by blocks of kW, export
and net metering, taxes on the utility's bill.
"""

from wattledger.tariffs.utility.bill import Bill, Gaps, MonthBill, utility_bill
from wattledger.tariffs.utility.charges import BillLine, LineKind
from wattledger.tariffs.utility.load import LoadInterval
from wattledger.tariffs.utility.model import (
    DayCount,
    DayRule,
    EnergyCharge,
    FixedCharge,
    FlatDemand,
    MinimumCharge,
    Per,
    RatePeriod,
    Remark,
    Schedule,
    Season,
    Slot,
    Tier,
    TierScope,
    TouDemand,
    UtilityTariff,
)
from wattledger.tariffs.utility.prices import energy_prices
from wattledger.tariffs.utility.reader import check_utility_tariff, read_utility_tariff
from wattledger.tariffs.utility.retail import Markup, RetailPrice, retail_prices
from wattledger.tariffs.utility.series import (
    PerEnergy,
    PriceInterval,
    PriceSeries,
    read_price_series,
    sum_of,
)
from wattledger.tariffs.utility.urdb import UrdbRate, read_urdb

__all__ = [
    "Bill",
    "BillLine",
    "DayCount",
    "DayRule",
    "EnergyCharge",
    "FixedCharge",
    "FlatDemand",
    "Gaps",
    "LineKind",
    "LoadInterval",
    "Markup",
    "MinimumCharge",
    "MonthBill",
    "Per",
    "PerEnergy",
    "PriceInterval",
    "PriceSeries",
    "RatePeriod",
    "Remark",
    "RetailPrice",
    "Schedule",
    "Season",
    "Slot",
    "Tier",
    "TierScope",
    "TouDemand",
    "UrdbRate",
    "UtilityTariff",
    "check_utility_tariff",
    "energy_prices",
    "read_price_series",
    "read_urdb",
    "read_utility_tariff",
    "retail_prices",
    "sum_of",
    "utility_bill",
]
