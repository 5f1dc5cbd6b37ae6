"""What the fields of a URDB record are to a bill: used, told, refused, or of no effect.

Source: the response fields of the OpenEI Utility Rate Database API, versions 3 to 8
(https://openei.org/services/doc/rest/util_rates/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from wattledger.errors import BadInput
from wattledger.tariffs.utility.exact import plain_decimal
from wattledger.tariffs.utility.model import Remark

USED = frozenset(
    [
        "label",
        "name",
        "utility",
        "startdate",
        "enddate",
        "country",
        "energyratestructure",
        "energyweekdayschedule",
        "energyweekendschedule",
        "flatdemandstructure",
        "flatdemandmonths",
        "flatdemandunit",
        "demandratestructure",
        "demandweekdayschedule",
        "demandweekendschedule",
        "demandrateunit",
        "demandunits",
        "demandwindow",
        "fixedchargefirstmeter",
        "fixedchargeunits",
        "fixedmonthlycharge",
        "mincharge",
        "minchargeunits",
        "minmonthlycharge",
        "annualmincharge",
    ]
)
# Who may have the rate, where it comes from, what was said about it: no bill depends on them.
NO_EFFECT = frozenset(
    [
        "uri",
        "eiaid",
        "eiautilityid",
        "approved",
        "is_default",
        "sector",
        "servicetype",
        "description",
        "source",
        "sourceparent",
        "supersedes",
        "basicinformationcomments",
        "revisions",
        "latest_update",
        "startdatetime",
        "enddatetime",
        "voltagecategory",
        "voltageminimum",
        "voltagemaximum",
        "phasewiring",
        "peakkwcapacitymin",
        "peakkwcapacitymax",
        "peakkwcapacityhistory",
        "peakkwhusagemin",
        "peakkwhusagemax",
        "peakkwhusagehistory",
        "energycomments",
        "demandcomments",
        "energytoulabels",
        "demandtoulabels",
        "flatdemandtoulabels",
    ]
)
# It would change the bill, and we can't compute it: no bill at all is better.
REFUSED = {
    "coincidentratestructure": "no coincident demand charge: it is not supported",
    "coincidentrateschedule": "no coincident demand charge: it is not supported",
    "coincidentsched": "no coincident demand charge: it is not supported",
    "demandratchetpercentage": "no demand ratchet: it is not supported",
    "lookbackpercent": "no demand ratchet: it is not supported",
    "demandreactivepowercharge": "no charge for reactive power: it is not supported",
}
# It has no effect on a meter that only draws, or nobody can say what it means.
TOLD = {
    "usenetmetering": "net metering is not supported: energy that is drawn is billed in full",
    "dgrules": "net metering is not supported: energy that is drawn is billed in full",
    "fixedchargeeaaddl": "the charge for further meters is not billed: a tariff is one meter's",
    "energyattrs": "attributes in free words are not billed",
    "demandattrs": "attributes in free words are not billed",
    "fixedattrs": "attributes in free words are not billed",
    "lookbackmonths": "it belongs to a demand ratchet, and there is none",
    "lookbackrange": "it belongs to a demand ratchet, and there is none",
    "coincidentrateunit": "it belongs to a coincident demand charge, and there is none",
}
# What says when a structure holds, and means nothing without it.
_SCHEDULES = {
    "energyweekdayschedule": "energyratestructure",
    "energyweekendschedule": "energyratestructure",
    "demandweekdayschedule": "demandratestructure",
    "demandweekendschedule": "demandratestructure",
    "flatdemandmonths": "flatdemandstructure",
}
# A local database export spells its keys like this and wraps the tiers.
_CAMEL = ("energyRateStrux", "energyWeekdaySched", "rateName", "utilityName", "demandRateStrux")


def remarks_on_fields(record: Mapping[str, object], path: str) -> Iterator[Remark]:
    """A remark for each field that is not billed; raises BadInput for one that is refused."""
    for key in _CAMEL:
        if key in record:
            expected = "the record as the API gives it (energyratestructure), not a database export"
            raise BadInput(f"{path}.{key}", record[key], expected)
    for key, value in record.items():
        at = f"{path}.{key}"
        known = key in USED or key in NO_EFFECT
        if not known and key not in REFUSED and key not in TOLD:
            yield Remark(at, "not known, and not used")
        elif known or _nothing(value):
            continue
        elif key in REFUSED:
            raise BadInput(at, value, REFUSED[key])
        else:
            yield Remark(at, TOLD[key])
    for key, structure in _SCHEDULES.items():
        if not record.get(structure) and not _nothing(record.get(key)):
            yield Remark(f"{path}.{key}", f"not used: there is no {structure}")


def _nothing(value: object) -> bool:
    """Whether it says nothing: null, false, zero, empty, or made of such."""
    if isinstance(value, str):
        try:
            return value == "" or Fraction(plain_decimal(value, "")) == 0
        except BadInput:
            return False
    if isinstance(value, list):
        return all(_nothing(item) for item in value)
    if isinstance(value, Mapping):
        return all(_nothing(item) for item in value.values())
    return not value
