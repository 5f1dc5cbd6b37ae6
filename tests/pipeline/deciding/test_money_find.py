"""Why was I charged this? By what a driver has in hand the session and its payments are found, each
word by an index of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

import handmade as hand
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.errors import BadInput
from wattledger.pipeline.deciding import money_find
from wattledger.pipeline.deciding.money_find import amount, finder

# In New York it is the evening of the 1st: 02:30 in UTC is 21:30 there the day before.
EVENING = datetime(2026, 11, 2, 2, 30, tzinfo=UTC)
ANN = {"email": "Ann@Example.com"}


@pytest.fixture
def conn(database: Database) -> Iterator[Any]:
    """Ann's session by card, 4.40 of it taken; Bo's at a vendor's terminal, 8.80."""
    with psycopg.connect(database.conninfo(Role.APP), row_factory=dict_row) as conn:
        hand.add_session(conn, "ses_ann_0001", route=Route.CARD, started_at=EVENING, promised=ANN,
                         account_id="ann", charge_point="CP-9", transaction_id=4242)  # fmt: skip
        hand.add_charge(conn, "chg_ann", "ses_ann_0001")
        hand.insert(conn, "collection", charge_id="chg_ann", part=1, entity_id="north",
                    state="invoiced", amount_minor=440, changed_at=hand.NOW)  # fmt: skip
        hand.insert(
            conn, "payment", id="pay_ann", session_id="ses_ann_0001", entity_id="north",
            processor_id="stripe", currency="USD", hold_minor=2500, state="captured",
            captured_minor=440, intent_id="pi_ann", external_charge_id="ch_ann", last4="1881",
            brand="visa", account_id="ann", created_at=EVENING,
        )  # fmt: skip
        hand.add_session(conn, "ses_bo_00002", route=Route.TERMINAL, charge_point="CP-8")
        hand.add_charge(conn, "chg_bo", "ses_bo_00002", net=800, tax=80)
        hand.insert(conn, "collection", charge_id="chg_bo", part=1, entity_id="north",
                    state="external", amount_minor=880, changed_at=hand.NOW)  # fmt: skip
        hand.insert(
            conn, "terminal_payment", id="tpa_bo", entity_id="north", provider="payter",
            terminal_id="t", reference="A-77", mode="vendor_captures", currency="USD",
            authorized_at=hand.NOW, authorized_minor=880, settled_at=hand.NOW, settled_minor=880,
            last4="1881", state="matched", session_id="ses_bo_00002", received_at=hand.NOW,
        )  # fmt: skip
        yield conn


def found(conn: Any, text: str) -> tuple[list[str], list[str]]:
    """The sessions and the payments."""
    by = finder(text, ["USD"])
    sessions = conn.execute(f"SELECT s.id FROM session s WHERE {by.sessions}", by.values)
    payments = conn.execute(f"SELECT p.id FROM payment p WHERE {by.payments}", by.values)
    return sorted(row["id"] for row in sessions), sorted(row["id"] for row in payments)


@pytest.mark.parametrize(
    "text",
    [
        "4.40", "$4.40", "4,40", "ann", "pay_ann", "pi_ann", "ch_ann", "chg_ann/1", "chg_ann",
        "ann@example.COM", "ses_ann_0001", "ses_ann", "cp-9", "4242", "2026-11-01",
        "1881 4.40", "•••• 1881 2026-11-01", "xxxx1881 ann@example.com", "cp-9 2026-11-01 4.40",
    ],
)  # fmt: skip
def test_a_session_is_found_by_what_its_driver_has(conn: Any, text: str) -> None:
    assert found(conn, text) == (["ses_ann_0001"], ["pay_ann"])


def test_a_card_at_a_terminal_finds_its_session_too(conn: Any) -> None:
    assert found(conn, "1881") == (["ses_ann_0001", "ses_bo_00002"], ["pay_ann"])
    assert found(conn, "1881 8.80") == (["ses_bo_00002"], [])
    assert found(conn, "A-77") == (["ses_bo_00002"], [])


@pytest.mark.parametrize("text", ["1881 9.99", "2026-11-03", "nothing", "%", "ses_", "4.4001",
                                  "1881 2026-02-31"])  # fmt: skip
def test_what_does_not_fit_finds_nothing(conn: Any, text: str) -> None:
    assert found(conn, text) == ([], [])


def test_a_session_over_midnight_is_of_both_days(conn: Any) -> None:
    """Begun at 21:30 in New York on the 1st, ended at noon UTC of the 2nd."""
    assert found(conn, "cp-9 2026-11-01")[0] == found(conn, "cp-9 2026-11-02")[0] != []


def test_amounts_as_people_write_them() -> None:
    assert amount("€12,34", "EUR") == amount("12.34", "EUR") == amount("12.34€", "EUR") == 1234
    assert amount("1,234.50", "USD") == 123_450
    assert amount("1,234", "JPY") == 1234
    assert amount("12.340", "KWD") == 12_340
    assert amount("1,234", "KWD") == 1_234_000
    assert amount("1.234,5", "EUR") is None
    assert amount("ann", "EUR") is None


def test_too_many_words_are_refused_with_how_many_may_be() -> None:
    with pytest.raises(BadInput, match="6 words at most"):
        finder("a b c d e f g", ["USD"])


def read_whole(conn: Any, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The scans that read a table, or an index, from one end to the other."""
    rows = conn.execute(f"EXPLAIN (FORMAT JSON) {query}", values).fetchall()
    nodes = [rows[0]["QUERY PLAN"][0]["Plan"]]
    for node in nodes:
        nodes.extend(node.get("Plans", []))
    scans = [node for node in nodes if "Scan" in node["Node Type"]]
    indexed = {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}
    return [
        node
        for node in scans
        if node["Node Type"] == "Seq Scan"
        or (node["Node Type"] in indexed and "Index Cond" not in node)
    ]


def test_every_word_is_looked_up_in_an_index(conn: Any) -> None:
    """Of an empty network the planner reads all of a table: that is made as dear as with a million
    rows. A table that is read as a whole all the same has no index for what is asked."""
    conn.execute("SET LOCAL enable_seqscan = off")
    for text in ("1881", "4.40", "ann@example.com", "ses_ann_0001", "cp-9", "2026-11-01",
                 "1881 2026-11-01"):  # fmt: skip
        by = finder(text, ["USD"])
        for table, where in (("session s", by.sessions), ("payment p", by.payments)):
            assert read_whole(conn, f"SELECT 1 FROM {table} WHERE {where}", by.values) == [], text


def test_each_filter_has_its_index(conn: Any) -> None:
    conn.execute("SET LOCAL enable_seqscan = off")
    values = {"last4": "1881", "amount": [440], "token": "t1", "email": "a@b.c",
              "receipt": "chg_ann/1"}  # fmt: skip
    for name, value in values.items():
        where = money_find.FILTERS[name]
        query = f"SELECT 1 FROM payment p WHERE {where}"
        assert read_whole(conn, query, {name: value}) == [], name
        rows = conn.execute(f"SELECT p.id FROM payment p WHERE {where}", {name: value}).fetchall()
        assert [row["id"] for row in rows] == ([] if name == "email" else ["pay_ann"]), name


def test_the_newest_are_read_off_an_index(conn: Any) -> None:
    """A page of the list costs what a page is, whatever came before."""
    conn.execute("SET LOCAL enable_seqscan = off")
    query = "SELECT 1 FROM payment p ORDER BY COALESCE(p.created_at, '-infinity') DESC, p.id DESC"
    plan = conn.execute(f"EXPLAIN {query} LIMIT 50").fetchall()
    assert any("payment_made" in row["QUERY PLAN"] for row in plan)
    assert not any("Sort" in row["QUERY PLAN"] for row in plan)


def test_a_day_is_one_that_there_is() -> None:
    by = finder("2026-11-01", ["USD"])
    assert by.values == {"d0_day": date(2026, 11, 1)}
