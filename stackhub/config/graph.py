"""The order of tasks, and the cycle that forbids one; pure."""

import heapq
from collections.abc import Iterable, Mapping


def in_order(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Order names so that each stands below all it needs, and else as they were given; without those in a cycle.

    A need that is no key of ``needs`` is passed over.
    """
    names = list(needs)
    rank = {name: at for at, name in enumerate(names)}
    waiting = {name: {need for need in needs[name] if need in rank} for name in names}
    feeds: dict[str, list[str]] = {name: [] for name in names}
    for name, upstream in waiting.items():
        for need in upstream:
            feeds[need].append(name)
    ready = [rank[name] for name in names if not waiting[name]]
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for fed in feeds[name]:
            waiting[fed].discard(name)
            if not waiting[fed]:
                heapq.heappush(ready, rank[fed])
    return order


def cycles(needs: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Find cycles, each as the way around it: ["a", "b", "a"] says that a needs b and b needs a.

    One for each group of names that cannot be ordered, beginning at the name that was given first; not every cycle
    there is, since each that is mended may open the sight on another.
    """
    placed = set(in_order(needs))
    left = {name: [need for need in needs[name] if need in needs and need not in placed] for name in needs}
    seen: set[str] = set()
    found: list[list[str]] = []
    for start in needs:
        way: list[str] = []
        at = start
        while at not in seen and left[at]:
            seen.add(at)
            way.append(at)
            at = left[at][0]
        if at in way:
            around = way[way.index(at) :]
            first = min(range(len(around)), key=lambda i: list(needs).index(around[i]))
            around = around[first:] + around[:first]
            found.append([*around, around[0]])
    return found
