"""One value replaced; all other bytes stay."""

from __future__ import annotations

import pytest

from wattledger.wire.ocpp.patch import (
    element,
    number_of,
    with_number,
    with_number_inside,
    with_value,
)

ID = ("transactionId",)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('[2,"1","S",{"transactionId":7}]', '[2,"1","S",{"transactionId":2100000000}]'),
        (' [ 2 , "1" ,"a{\\"]b" , { "transactionId" : 7 } ]\n',
         ' [ 2 , "1" ,"a{\\"]b" , { "transactionId" : 2100000000 } ]\n'),
        # The name, not the text: escaped, within other values, deeper, and twice, of which the
        # last counts.
        ('[2,"1","S",{"x":"\\"transactionId\\":7","trans\\u0061ctionId":7.0}]',
         '[2,"1","S",{"x":"\\"transactionId\\":7","trans\\u0061ctionId":2100000000}]'),
        ('[2,"1","S",{"a":{"transactionId":7},"b":[7,{"transactionId":7}],"transactionId":"7"}]',
         '[2,"1","S",{"a":{"transactionId":7},"b":[7,{"transactionId":7}],'
         '"transactionId":2100000000}]'),
        ('[2,"1","S",{"transactionId":7,"transactionId":7}]',
         '[2,"1","S",{"transactionId":7,"transactionId":2100000000}]'),
        # Another's, none, and what is no number.
        ('[2,"1","S",{"transactionId":8}]', None),
        ('[2,"1","S",{}]', None),
        ('[2,"1","S",{"transactionId":null,"y":7}]', None),
        ('[2,"1","S",{"transactionId":"x"}]', None),
        ('[2,"1","S",{"transactionId":[7]}]', None),
    ],
)  # fmt: skip
def test_a_number_under_its_other_name(raw: str, expected: str | None) -> None:
    names = {7: 2_100_000_000}
    assert with_number(raw, element(raw, 3), ID, names) == (expected or raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('[3,"1",{"i":{"status" : "Accepted","p":"é"} }]',
         '[3,"1",{"i":{"status" : "Blocked","p":"é"} }]'),
        ('[3,"1",{ "i":{ "p":1}}]', '[3,"1",{ "i":{ "status":"Blocked","p":1}}]'),
        ('[3,"1",{"i":{}}]', '[3,"1",{"i":{"status":"Blocked"}}]'),
        ('[3,"1",{}]', '[3,"1",{"i":{"status":"Blocked"}}]'),
        ('[3,"1",{"n":1.50}]', '[3,"1",{"i":{"status":"Blocked"},"n":1.50}]'),
        ('[3,"1",{"i":null}]', '[3,"1",{"i":{"status":"Blocked"}}]'),
    ],
)  # fmt: skip
def test_a_value_where_there_is_one_and_where_there_is_none(raw: str, expected: str) -> None:
    assert with_value(raw, element(raw, 2), ("i", "status"), "Blocked") == expected


def test_a_number_in_an_object_that_is_kept_as_a_text() -> None:
    raw = '[2,"1","DataTransfer",{ "vendorId":"v","data":"{ \\"transactionId\\":7,\\"b\\":1.0 }"}]'
    path = ("data", "transactionId")
    assert with_number_inside(raw, element(raw, 3), path, {7: 9}) == raw.replace(":7,", ":9,")
    for other in (raw.replace(":7,", ":8,"), raw.replace("{ \\", "no JSON \\"),
                  '[2,"1","DataTransfer",{"data":7}]', '[2,"1","DataTransfer",{}]'):  # fmt: skip
        assert with_number_inside(other, element(other, 3), path, {7: 9}) == other


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ('"7"', 7), ("7.0", 7), ("-1", -1), ("7.5", 0), ("null", 0), ("[7]", 0), ("x", 0),
     ("9223372036854775807", 2**63 - 1)],
)  # fmt: skip
def test_whole_numbers_as_chargers_write_them(text: str, number: int) -> None:
    assert number_of(text) == number
