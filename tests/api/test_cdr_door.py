"""OCPI CDRs at the door: a session of ours, our price, and their total compared with it."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattledger.db.work import Work
from wattledger.entitlements import Snapshot
from wattledger.errors import BadInput
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.importing.import_cdrs import session_of
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.world import World
from wattledger.wire.exact import dump
from wattledger.wire.ocpi.cdrs import decode_cdr

WRITER = {"Authorization": "Bearer writer"}
READER = {"Authorization": "Bearer reader"}


def _at(clock: str) -> str:
    return f"2026-11-01T{clock}:00Z"


def _period(clock: str, **volumes: Any) -> dict[str, Any]:
    dimensions = [{"type": kind, "volume": volume} for kind, volume in volumes.items()]
    return {"start_date_time": _at(clock), "dimensions": dimensions}


# 10 kWh at 0.40 and 8.875 % tax: 4.00 + 0.355, in all 4.355, which is 4.36.
CDR: dict[str, Any] = {
    "country_code": "US", "party_id": "ABC", "id": "C-1", "currency": "USD",
    "start_date_time": _at("10:00"), "end_date_time": _at("12:00"),
    "cdr_token": {"uid": "SOMEBODY", "contract_id": "US-XYZ-1"},
    "cdr_location": {"id": "L", "evse_uid": "7", "evse_id": "US*ABC*D-1*2"},
    "charging_periods": [
        _period("10:00", ENERGY=3.3333, TIME=0.5),
        _period("10:30", ENERGY=6.6667, TIME=0.5, PARKING_TIME=0.25),
        _period("11:30", PARKING_TIME=0.5),
    ],
    "total_energy": 10, "total_cost": {"excl_vat": 4.00, "incl_vat": 4.36},
}  # fmt: skip
CDR_230 = CDR | {
    "total_cost": {"before_taxes": 4.00, "taxes": [{"name": "Sales tax", "amount": 0.36}]}
}
CDR_211 = {
    "id": "C-1", "currency": "USD", "auth_id": "SOMEBODY", "total_cost": 4.0, "total_energy": 10,
    "start_date_time": _at("10:00"), "stop_date_time": _at("12:00"),
    "location": {"evses": [{"uid": "D-1", "connectors": [{"id": "2"}]}]},
    "charging_periods": CDR["charging_periods"],
}  # fmt: skip


def _cdr(of: dict[str, Any] = CDR, **changes: Any) -> dict[str, Any]:
    return copy.deepcopy(of) | changes


@pytest.mark.parametrize(("cdr", "number"), [(CDR, "US*ABC*C-1"), (CDR_230, "US*ABC*C-1"),
                                             (CDR_211, "C-1")])  # fmt: skip
async def test_a_cdr_becomes_a_session_that_agrees(
    api: httpx.AsyncClient, work: Work, cdr: dict[str, Any], number: str
) -> None:
    """2.1.1 says its total without tax: then it is compared with ours without tax."""
    answer = await api.post("/v1/cdrs", json=cdr, headers=WRITER)
    assert answer.status_code == 201, answer.text
    [taken] = answer.json()["cdrs"]
    assert taken["id"] == number
    # The same record, written otherwise.
    raw = dump([cdr]).replace(b",", b" ,\n")
    again = await api.post("/v1/cdrs", content=raw, headers=WRITER)
    assert (again.status_code, again.json()["cdrs"][0]["new"]) == (200, False)
    world = World(work)
    assert await bill(world, taken["session_id"]) == "billed"
    found = (await api.get(f"/v1/sessions/{taken['session_id']}", headers=READER)).json()
    assert (found["source"], found["route"], found["external_id"]) == ("ocpi", "external", number)
    assert (found["charge_point_id"], found["connector_id"]) == ("D-1", 2)
    assert (found["energy_wh"], found["total_minor"]) == (10_000, 436)
    registers = [f["register_wh"] for f in found["facts"] if f["kind"] == "meter"]
    assert registers == [3_333, 10_000], "cumulative, each rounded once"
    idle = [f["at"] for f in found["facts"] if f["activity"] == "vehicle_idle"]
    assert idle == [_at("11:15"), _at("11:30")], "parking comes last in its period"
    assert await reconcile(world) == 0


async def test_a_total_that_is_not_ours_is_a_break(api: httpx.AsyncClient, work: Work) -> None:
    """Ours is 4.36. Theirs is 4.30, and in the second 0.05 less; a partner's driver is one too,
    and pays by plan. Registers that count from 0 each time are no overlap."""
    cheap = _cdr(total_cost={"excl_vat": 4, "incl_vat": 4.30})
    fleet = _cdr(cheap, id="C-2", start_date_time=_at("13:00"), end_date_time=_at("14:00"),
                 charging_periods=[_period("13:00", ENERGY=10)],
                 cdr_token={"uid": "US-X", "contract_id": "ACME-1"})  # fmt: skip
    answer = await api.post("/v1/cdrs", json=[cheap, fleet], headers=WRITER)
    taken = answer.json()["cdrs"]
    world = World(work)
    for row in taken:
        assert await bill(world, row["session_id"]) == "billed"
    assert await reconcile(world) == 2
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute(
            "SELECT leg, code, amount_minor FROM break ORDER BY amount_minor"
        )
        breaks = [tuple(row.values()) for row in await cursor.fetchall()]
        cursor = await tx.conn.execute("SELECT route FROM session ORDER BY started_at")
        routes = [row["route"] for row in await cursor.fetchall()]
    assert routes == ["external", "invoice"]
    # The fleet has ten per cent off: 3.60 + 0.3195 is 3.92.
    assert breaks == [("external", "amount.external_mismatch", 430 - 436),
                      ("external", "amount.external_mismatch", 430 - 392)]  # fmt: skip


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"credit": True}, "$.credit"),
    ({"cdr_location": {"evse_uid": "X-9"}}, "$.cdr_location.evse_uid"),
    ({"cdr_token": None}, "$.cdr_token.uid"),
    ({"total_cost": None}, "$.cdr_token.uid"),
    ({"currency": "EUR"}, "$.currency"),
    ({"total_energy": 9.9}, "$.total_energy"),
    ({"total_energy": None, "charging_periods": [_period("10:00", TIME=2)]}, "$.total_energy"),
    (
        {"charging_periods": [_period("10:00", RESERVATION_TIME=2)]},
        "$.charging_periods[0].dimensions",
    ),
    ({"charging_periods": [_period("10:00", ENERGY=-1)]}, "$.charging_periods[0].dimensions"),
    ({"end_date_time": _at("09:00")}, "$.end_date_time"),
    ({"total_cost": {"excl_vat": -4}}, "$.total_cost"),
    ({"end_date_time": "2026-11-03T12:00:00Z"}, "$.end_date_time"),
]


async def test_a_cdr_that_can_not_be_taken(api: httpx.AsyncClient) -> None:
    for changes, path in WRONG:
        answer = await api.post("/v1/cdrs", json=_cdr(**changes), headers=WRITER)
        assert (answer.status_code, answer.json()["path"]) == (422, path)


async def test_what_is_no_cdr_stops_no_other(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/cdrs", json={"data": [CDR, {"id": "C-9"}]}, headers=WRITER)
    good, bad = answer.json()["cdrs"]
    assert (answer.status_code, good["new"], bad["id"]) == (201, True, "C-9")
    assert bad["error"]["path"].startswith("$.data[1].")
    answer = await api.post("/v1/cdrs?version=3.0", json=CDR, headers=WRITER)
    assert (answer.status_code, answer.json()["path"]) == (422, "version")
    assert (await api.post("/v1/cdrs", content=b"{", headers=WRITER)).status_code == 422


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=8))
def test_the_energy_of_a_cdr_is_the_energy_of_its_session(tenth_mwh: list[int]) -> None:
    """Volumes in kWh with seven places: however they are cut, the registers end at their sum."""
    periods = [
        _period(f"{10 + i // 6}:{10 * (i % 6):02d}", ENERGY=f"{n // 10**7}.{n % 10**7:07d}")
        for i, n in enumerate(tenth_mwh)
    ]
    cdr = _cdr(charging_periods=periods, total_energy=None)
    _, found, _ = decode_cdr(dump(cdr), None)
    point = (object(), object())
    snapshot = _Place(point)
    session = session_of(found, snapshot, "$", [])
    registers = [reading.register_wh for reading in session.readings]
    assert registers[0] == 0
    assert registers == sorted(registers)
    assert registers[-1] == session.energy_wh == (sum(tenth_mwh) * 2 + 10**4) // (2 * 10**4)


class _Place(Snapshot):
    """Every charge point is there, and nobody has a token."""

    def __init__(self, place: Any) -> None:
        self._place = place

    def place_of(self, charge_point_id: str) -> Any:
        return self._place

    def account_of(self, token: str) -> None:
        return None


def test_two_ids_of_one_charge_point() -> None:
    """evse_uid first, then evse_id, whole or without country and operator."""
    _, found, _ = decode_cdr(dump(CDR), None)

    class Only(_Place):
        def place_of(self, charge_point_id: str) -> Any:
            return (1, 1) if charge_point_id == "D-1" else None

    session = session_of(found, Only(None), "$", [])
    assert (session.charge_point_id, session.connector_id) == ("D-1", 2)
    with pytest.raises(BadInput, match="evse_uid or evse_id"):
        session_of(decode_cdr(dump(_cdr(cdr_location={"id": "L"})), None)[1], Only(None), "$", [])


def test_a_reservation_comes_before_its_session() -> None:
    periods = [_period("09:30", RESERVATION_TIME=0.5), *CDR["charging_periods"]]
    raw = dump(_cdr(charging_periods=periods, start_date_time=_at("09:30")))
    session = session_of(decode_cdr(raw, None)[1], _Place((1, 1)), "$", [])
    assert session.reserved is not None
    assert session.reserved.to_at == session.started_at == session.readings[0].at
    assert (session.started_at - session.reserved.from_at).total_seconds() == 1_800
    assert session.energy_wh == 10_000
