"""Made graphs in which nothing but the kind of an edge tells whether a value gets from source to sink.

Two ways lead from source to sink, and one edge stands apart. Two of the edges are `follows`: of a leak one lies on
the one way and one apart, else one lies on each way. So nodes, edges and kinds are as many in either.
"""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

SINK, STEP, SOURCE = range(3)
FLOWS, FOLLOWS = range(2)


def make(folder: Path, seed: int, rows: int = 2_000) -> Path:
    """Write made graphs as JSON lines, every other one a leak."""
    rng = random.Random(seed)
    path = folder / "graphs.jsonl"
    path.write_text("".join(json.dumps(graph(i % 2 == 1, rng)) + "\n" for i in range(rows)))
    return path


def graph(leaks: bool, rng: random.Random) -> dict[str, Any]:
    """Return one graph as it stands in a file."""
    length, others = rng.randint(1, 3), rng.randint(2, 12)
    count = 2 + 2 * length + others
    number = rng.sample(range(count), count)  # number[0] is the source, number[1] the sink
    ways = [[0, *range(2 + i * length, 2 + (i + 1) * length), 1] for i in range(2)]
    rng.shuffle(ways)
    apart = rng.sample(range(2 + 2 * length, count), 2)
    follows = [_edge(ways[1], rng), tuple(apart) if leaks else _edge(ways[0], rng)]
    pairs = [pair for way in ways for pair in pairwise(way)] + [tuple(apart)]
    edges = [(number[a], number[b], FOLLOWS if (a, b) in follows else FLOWS) for a, b in pairs]
    rng.shuffle(edges)
    kinds = {number[0]: SOURCE, number[1]: SINK}
    return {
        "nodes": [kinds.get(node, STEP) for node in range(count)],
        "edges": edges,
        "lines": sorted(rng.sample(range(1, 400), count)),
        "leaks": leaks,
        "path": [number[node] for node in ways[0]] if leaks else [],
    }


def _edge(way: list[int], rng: random.Random) -> tuple[int, int]:
    place = rng.randrange(len(way) - 1)
    return way[place], way[place + 1]
