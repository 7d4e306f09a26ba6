"""Graphs as arrays.

Shapes: B graphs, N nodes and E edges of the largest of them.
"""

import json
from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np

from tocsin.core.axes import Axes, Axis
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays, Columns, Files, Place, column

from .sample import EDGES, NODES

KINDS = "kinds.json"
NODE_AXIS, EDGE_AXIS = Axis("nodes", "node_count"), Axis("edges", "edge_count")


class GraphEncoder:
    """`nodes` [B, N], `node_count` [B], `edges` [B, E, 2], `kinds` [B, E], `edge_count` [B]: all int64.

    The counts say where a graph ends; a 0 never does.
    """

    axes: ClassVar[Axes] = {
        "nodes": (NODE_AXIS,),
        "edges": (Axis("edges", "edge_count", pad=-1), 2),
        "kinds": (EDGE_AXIS,),
    }

    def fit(self, columns: Columns) -> Self:
        """There is nothing to learn: the kinds are known."""
        return self

    def encode(self, columns: Columns) -> Arrays:
        edges = [np.array(edges, dtype=np.int64).reshape(-1, 3) for edges in columns["edges"]]
        nodes, node_count = _pad([np.array(nodes, dtype=np.int64) for nodes in columns["nodes"]], 0)
        ends, edge_count = _pad([one[:, :2] for one in edges], -1)
        kinds, _ = _pad([one[:, 2] for one in edges], 0)
        return {
            "nodes": nodes, "node_count": node_count, "edges": ends, "kinds": kinds, "edge_count": edge_count
        }  # fmt: skip

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        """Return how many nodes and edges of each kind there are: what simple models see of a graph."""
        counts = [
            ((arrays[name] == kind) & _inside(arrays[name], arrays[count])).sum(axis=1)
            for name, count, known in (("nodes", "node_count", NODES), ("kinds", "edge_count", EDGES))
            for kind in range(len(known))
        ]
        return np.stack(counts, axis=1).astype(np.float32), [*NODES, *EDGES], [False] * len(counts)

    def hide(self, columns: Columns, arrays: Arrays) -> Iterator[tuple[Place, Arrays]]:
        """Take the edges of one node away, for each node in turn."""
        edges = columns["edges"][0]
        for node, line in enumerate(columns["lines"][0]):
            kept = tuple(edge for edge in edges if node not in edge[:2])
            yield place_of(node, line), self.encode({**columns, "edges": column([kept], numeric=False)})

    def watch(self, arrays: Arrays) -> Columns:
        return {name: arrays[name].astype(np.float64) for name in ("node_count", "edge_count")}

    def save(self) -> Files:
        return {KINDS: json.dumps({"nodes": NODES, "edges": EDGES}).encode()}

    @classmethod
    def load(cls, files: Files) -> Self:
        if files != cls().save():
            raise InputError(f"{KINDS}: these are not the kinds of nodes and edges that are known here")
        return cls()


def place_of(node: int, line: int) -> Place:
    """Return where a node stands: its number among the nodes, and its line in the program."""
    return Place(where="nodes", start=node, stop=node + 1, line=line)


def mark_paths(paths: np.ndarray, node_count: np.ndarray) -> np.ndarray:
    """Return int64 [B, N]: 1 for a node on the path, 0 for another, -1 behind the last."""
    marks = np.where(_inside(np.zeros((len(paths), int(node_count.max()))), node_count), 0, -1)
    for row, path in enumerate(paths):
        marks[row, list(path)] = 1
    return marks


def _inside(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.arange(values.shape[1]) < count[:, None]


def _pad(values: list[np.ndarray], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Return arrays [n, ...] of unlike n as one, [B, most, ...], and each n, int64 [B]."""
    count = np.array([len(one) for one in values], dtype=np.int64)
    found = np.full((len(values), max(1, count.max(initial=1)), *values[0].shape[1:]), pad, dtype=np.int64)
    for row, one in enumerate(values):
        found[row, : len(one)] = one
    return found, count
