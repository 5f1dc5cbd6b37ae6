"""Matching. Pure: the same two sides give the same matches and breaks, in any order.

One deterministic pass on the strongest key there is: items that share a key form a group, and
a group agrees when both sides sum to the same. Nothing is matched on likeness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wattledger.reconciliation.model import Break, Item, Match

Explain = Callable[[str, list[Item], list[Item]], Break]


def match(
    ours: Iterable[Item], theirs: Iterable[Item], explain: Explain
) -> tuple[list[Match], list[Break]]:
    """Group by key; zero tolerance. ``explain`` says what a group that does not agree is."""
    groups: dict[str, tuple[list[Item], list[Item]]] = {}
    for side, items in enumerate((ours, theirs)):
        for item in items:
            groups.setdefault(item.key, ([], []))[side].append(item)
    matches: list[Match] = []
    breaks: list[Break] = []
    for key in sorted(groups):
        # Sorted, so that a break is named after the same item whatever order they came in.
        our, their = (sorted(side, key=lambda item: item.id) for side in groups[key])
        entities = {item.entity_id for item in (*our, *their)}
        currencies = {item.currency for item in (*our, *their)}
        agree = sum(i.amount for i in our) == sum(i.amount for i in their)
        if our and their and agree and len(entities) == 1 and len(currencies) == 1:
            matches.append(
                Match(
                    key,
                    tuple(i.id for i in our),
                    tuple(i.id for i in their),
                    entities.pop(),
                )
            )
        else:
            breaks.append(explain(key, our, their))
    return matches, breaks
