"""What a session gets of an allowance: arithmetic, nothing counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattledger.contract import AllowanceTerm
from wattledger.entitlements import draw

SOME = AllowanceTerm("energy", 50_000, "50 kWh a month")
AMOUNTS = st.integers(0, 100_000)


@pytest.mark.parametrize(
    ("used", "wanted", "gets"),
    [(0, 10_000, 10_000), (45_000, 10_000, 5_000), (50_000, 10_000, 0), (60_000, 1, 0), (0, 0, 0)],
)
def test_what_is_left_and_no_more(used: int, wanted: int, gets: int) -> None:
    assert draw(SOME, used, wanted) == gets


@given(st.lists(AMOUNTS, max_size=8))
def test_one_after_the_other_they_get_all_of_it_and_no_more(sessions: list[int]) -> None:
    used = 0
    for wanted in sessions:
        used += draw(SOME, used, wanted)
    assert used == min(sum(sessions), SOME.quantity)


@pytest.mark.parametrize(("used", "wanted"), [(-1, 0), (0, -1)])
def test_less_than_nothing_is_refused(used: int, wanted: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        draw(SOME, used, wanted)
