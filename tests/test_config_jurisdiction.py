"""Before it is published, every price passes the rules of its place: by plan, site, power, day."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sample_config import whole
from wattledger import installation
from wattledger.cli.main import main
from wattledger.config import Config, parse, versions
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.entitlements import publication
from wattledger.entitlements.publication import Objection, combinations, objections
from wattledger.errors import BadInput
from wattledger.tariffs.findings import Severity
from wattledger.tariffs.jurisdictions import Jurisdiction, ReceiptField

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DOCS = Path(__file__).parents[1] / "docs"

HARBOUR: dict[str, Any] = {
    "id": "harbour", "inherits": "US-CA",
    "rules": [{"id": "harbour-no-kwh", "text": "Not before March 2027.", "forbidden": ["energy"],
               "sold": "contract", "effective_to": "2027-03-01"}],
}  # fmt: skip


def per_minute(**more: Any) -> dict[str, Any]:
    return {
        "id": "by-time", "currency": "USD",
        "elements": [{"name": "time", "components": [
            {"dimension": "charging_time", "price": "0.30", "unit": "minute"}]}], **more,
    }  # fmt: skip


def config(*own: dict[str, Any], **changes: Any) -> Config:
    return parse(whole(jurisdiction=list(own), **changes))


def told(
    found: tuple[Objection, ...], severity: Severity = Severity.ERROR
) -> list[tuple[Any, ...]]:
    return [
        (o.path, o.site, o.plan, o.power_w, o.on, o.finding.rule_id)
        for o in found if o.finding.severity is severity
    ]  # fmt: skip


def test_every_plan_at_every_site_and_power_is_a_combination() -> None:
    found = [
        (c.site.id, c.plan.id if c.plan else None, c.route, c.tariff.id, c.power_w, c.ad_hoc,
         c.discount_percent, c.path)
        for c in combinations(config(plan__0__ad_hoc=True))
    ]  # fmt: skip
    depot, yard = "$.site[0].tariff", "$.site[1].tariff"
    assert found == [
        ("depot", None, Route.NONE, "standard", 22_000, True, "0", depot),
        ("depot", None, Route.NONE, "standard", 150_000, True, "0", depot),
        ("depot", "walk-up", Route.CARD, "standard", 22_000, True, "0", depot),
        ("depot", "walk-up", Route.CARD, "standard", 150_000, True, "0", depot),
        ("depot", "fleet", Route.INVOICE, "cheap", 22_000, False, "10", "$.plan[1].tariffs.depot"),
        ("depot", "fleet", Route.INVOICE, "cheap", 150_000, False, "10", "$.plan[1].tariffs.depot"),
        ("yard", None, Route.NONE, "standard", 22_000, True, "0", yard),
        ("yard", "walk-up", Route.CARD, "standard", 22_000, True, "0", yard),
        ("yard", "fleet", Route.INVOICE, "standard", 22_000, False, "10", yard),
    ]


def test_a_site_without_a_jurisdiction_is_not_checked() -> None:
    assert objections(config(), NOW) == ()


def test_a_per_kwh_member_rate_at_a_restricted_site_is_refused() -> None:
    """The site itself sells time; the fleet's plan would sell kWh there."""
    changes = {"tariff__0": per_minute(id="standard"), "site__0__jurisdiction": "harbour"}
    found = objections(config(HARBOUR, **changes), NOW)
    assert told(found) == [
        ("$.plan[1].tariffs.depot", "depot", "fleet", 22_000, date(2026, 11, 24), "harbour-no-kwh"),
    ]  # fmt: skip
    with pytest.raises(BadInput) as caught:
        publication.refuse(found)
    assert str(caught.value) == (
        "$.plan[1].tariffs.depot: got 'cheap', expected a tariff that may be sold at site 'depot',"
        " 22000 W under plan 'fleet' from 2026-11-24 on: $.elements[0].components[0].dimension:"
        " energy is priced here. Not before March 2027. (this configuration) (rule harbour-no-kwh)"
    )
    # On the first day on which it is allowed, and without that plan, it passes.
    publication.refuse(objections(config(HARBOUR, **changes), datetime(2027, 3, 2, tzinfo=UTC)))
    without = config(HARBOUR, **changes, plan__1__tariffs={})
    publication.refuse(objections(without, NOW))


def test_a_rule_that_begins_within_the_year_is_told_with_its_first_day() -> None:
    later = {"id": "x", "rules": [{"id": "r", "text": "Soon.", "forbidden": ["energy"],
                                   "effective_from": "2027-11-01"}]}  # fmt: skip
    late = {"id": "x", "rules": [{"id": "r", "text": "Later.", "forbidden": ["energy"],
                                  "effective_from": "2027-11-25"}]}  # fmt: skip
    places = {"site__1__jurisdiction": "x"}
    assert told(objections(config(later, **places), NOW)) == [
        ("$.site[1].tariff", "yard", None, 22_000, date(2027, 11, 1), "r"),
    ]  # fmt: skip
    assert objections(config(late, **places), NOW) == ()
    # A configuration of next year is asked about the year after that.
    assert told(objections(config(late, **places), NOW + timedelta(days=100))) != []


def test_the_day_is_that_of_the_site() -> None:
    ended = {"id": "x", "rules": [{"id": "r", "text": "Until today.", "forbidden": ["energy"],
                                   "effective_to": "2026-11-24"}]}  # fmt: skip
    early = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)  # the 24th in New York, the 23rd in Chicago
    for site, count in ((0, 2), (1, 0)):
        found = objections(config(ended, **{f"site__{site}__jurisdiction": "x"}), early)
        assert len(told(found)) == count


def test_a_tariff_that_is_not_valid_then_is_not_asked() -> None:
    # Until 2027-03-01, and this tariff begins on that day in Chicago.
    changes = {"site__0__jurisdiction": "harbour", "tariff__0": per_minute(id="standard")}
    begins = {"tariff__1__valid_from": "2027-03-01T06:00:00Z"}
    assert told(objections(config(HARBOUR, **changes, **begins), NOW)) == []
    sooner = {"tariff__1__valid_from": "2027-03-01T05:59:59Z"}
    assert len(told(objections(config(HARBOUR, **changes, **sooner), NOW))) == 1


def test_what_a_programme_asks_is_asked_of_contracts_too() -> None:
    hours = {"start_time": "16:00", "end_time": "21:00"}
    found = objections(config(
        site__0__programmes=["US-NEVI"], tariff__1__elements__0__restrictions=hours,
        tariff__0__price_lock="session_start",
    ), NOW)  # fmt: skip
    assert told(found) == [
        ("$.plan[1].tariffs.depot", "depot", "fleet", 22_000, date(2026, 11, 24),
         "us-nevi-price-lock"),
    ]  # fmt: skip


def test_ad_hoc_is_what_is_sold_without_a_contract() -> None:
    changes = {"site__0__jurisdiction": "FR", "tariff__1": per_minute(id="cheap")}
    rules = {"eu-afir-50kw-per-kwh", "eu-afir-50kw-components"}
    assert told(objections(config(**changes), NOW)) == []
    found = told(objections(config(**changes, plan__1__ad_hoc=True), NOW))
    assert {(path, power) for path, _, _, power, _, _ in found} == {
        ("$.plan[1].tariffs.depot", 150_000)
    }
    assert {rule for *_, rule in found} == rules


def test_an_unknown_place_or_programme_is_told_once_a_site() -> None:
    found = objections(config(site__1__jurisdiction="XX", site__1__programmes=["YY"]), NOW)
    assert [(o.path, o.finding.severity, o.finding.code) for o in found] == [
        ("$.site[1].jurisdiction", Severity.WARNING, "unknown_jurisdiction"),
        ("$.site[1].programmes", Severity.WARNING, "unknown_jurisdiction"),
    ]
    publication.refuse(found)
    assert publication.in_words(found[0]).startswith(
        "$.site[1].jurisdiction: no rules are known for 'XX': nothing is checked"
    )


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"jurisdiction": {"id": "x"}}, "$.jurisdiction"),
        ({"jurisdiction": [{"id": "x", "colour": "red"}]}, "$.jurisdiction[0].colour"),
        ({"jurisdiction": [{"id": "x", "inherits": "y"}]}, "$.jurisdiction[0].inherits"),
        ({"jurisdiction": [{"id": "x"}, {"id": "x"}]}, "$.jurisdiction[1].id"),
        ({"jurisdiction": [{"id": "x", "rules": [{"id": "r"}]}]},
         "$.jurisdiction[0].rules[0].text"),
        ({"site__0__jurisdiction": 1}, "$.site[0].jurisdiction"),
        ({"site__0__programmes": "US-NEVI"}, "$.site[0].programmes"),
        ({"plan__0__ad_hoc": "yes"}, "$.plan[0].ad_hoc"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(whole(**change))
    assert caught.value.path == path


def test_versions_of_what_says_nothing_new_stay_what_they_were() -> None:
    """A site without a jurisdiction is the same content as before there were any."""
    site = next(v for v in versions(config()) if v.key == "yard")
    assert "jurisdiction" not in site.body
    assert "programmes" not in site.body


def test_of_own_rules_a_version_keeps_what_sessions_and_receipts_ask() -> None:
    """What was kept before rules were is read as it was, and what has none of them stays so."""
    receipts = {"id": "harbour-paper", "text": "The kind of current.",
                "receipt_fields": ["current_kind"], "effective_from": "2026-01-01"}  # fmt: skip
    own = {**HARBOUR, "rules": [*HARBOUR["rules"], receipts]}
    (version,) = (v for v in versions(config(own)) if v.kind == "jurisdiction")
    (kept,) = msgspec.convert(version.body, Jurisdiction).rules
    assert (kept.id, kept.receipt_fields) == ("harbour-paper", (ReceiptField.CURRENT_KIND,))
    assert kept.effective_from == "2026-01-01"
    (before,) = (v for v in versions(config(HARBOUR)) if v.kind == "jurisdiction")
    assert before.body == {"id": "harbour", "name": "harbour", "inherits": "US-CA"}
    assert msgspec.convert(before.body, Jurisdiction).rules == ()


def test_the_examples_in_the_documents_are_read() -> None:
    text = (DOCS / "jurisdictions.md").read_text(encoding="utf-8")
    blocks = [tomllib.loads(b) for b in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    own = [j for block in blocks for j in block.get("jurisdiction", [])]
    assert [j["id"] for j in own] == ["harbour", "old-points", "US-SC"]
    assert len(config(*own).jurisdiction) == 3


# In the database


async def test_what_fails_is_not_written(database: Database) -> None:
    failing = config(HARBOUR, tariff__0=per_minute(id="standard"), site__0__jurisdiction="harbour")
    with pytest.raises(BadInput, match="harbour-no-kwh"):
        await installation.apply(failing, database, NOW)
    async with await database.connect(Role.APP) as conn:
        cursor = await conn.execute("SELECT count(*) AS n FROM config_activation")
        assert await cursor.fetchone() == {"n": 0}


async def test_what_is_published_survives_a_restart_on_the_day_a_rule_begins(
    database: Database,
) -> None:
    fine = config(site__0__jurisdiction="x")
    assert len(await installation.apply(fine, database, NOW)) > 5
    ruled = {"id": "x", "rules": [{"id": "r", "text": "No.", "forbidden": ["energy"]}]}
    now_ruled = msgspec.structs.replace(fine, jurisdiction=config(ruled).jurisdiction)
    assert await installation.apply(now_ruled, database, NOW) == []
    changed = config(ruled, site__0__jurisdiction="x", site__0__tax_percent="9")
    with pytest.raises(BadInput, match="rule r"):
        await installation.apply(changed, database, NOW)


def test_apply_prints_what_warns_and_refuses_what_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "wattledger.toml"
    base = ("--config", str(path))
    assert main(["init", *base]) == 0
    text = path.read_text(encoding="utf-8")
    place = text.replace("[[site]]\n", '[[site]]\njurisdiction = "US-TX"\n', 1)
    assert place != text
    path.write_text(place, encoding="utf-8")
    capsys.readouterr()
    assert main(["apply", *base, "--json"]) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert (warning["path"], warning["finding"]["code"]) == (
        "$.site[0].jurisdiction", "unknown_jurisdiction",
    )  # fmt: skip
    assert main(["apply", *base]) == 0
    captured = capsys.readouterr()
    assert "warning: $.site[0].jurisdiction: no rules are known for 'US-TX'" in captured.err
    assert "Nothing changed" in captured.out
    # Also where nothing else has changed: a rule of one's own is not in the database.
    path.write_text(place + '\n[[jurisdiction]]\nid = "US-TX"\n[[jurisdiction.rules]]\nid = "r"\n'
                    'text = "No."\nforbidden = ["energy"]\n', encoding="utf-8")  # fmt: skip
    assert main(["apply", *base]) == 2
    assert "$.site[0].tariff" in capsys.readouterr().err
