"""One flow graph of a program, its truth, and the file that it is read from."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tocsin.core.schema import Label, Layout, Row, Schema, truth_of
from tocsin.core.types import Sample

NODES = ("sink", "step", "source")
"""What a node is: 0 is a kind like any other."""
EDGES = ("flows", "follows")
"""What an edge is: a value flows along it, or one line only follows the other."""
MOST_NODES, MOST_EDGES = 64, 128

NodeKind = Annotated[int, Field(ge=0, lt=len(NODES))]
EdgeKind = Annotated[int, Field(ge=0, lt=len(EDGES))]
Node = Annotated[int, Field(ge=0)]


class Graph(Sample):
    """Nodes by number, and the edges between them."""

    nodes: tuple[NodeKind, ...] = Field(min_length=1, max_length=MOST_NODES, description="kind of each node")
    edges: tuple[tuple[Node, Node, EdgeKind], ...] = Field(
        max_length=MOST_EDGES, description="(node that it leaves, node that it leads to, kind) of each edge"
    )
    lines: tuple[Annotated[int, Field(ge=1)], ...] = Field(description="line of each node in the program")

    @model_validator(mode="after")
    def _is_one_graph(self) -> Self:
        count = len(self.nodes)
        if len(self.lines) != count:
            raise ValueError(f"{len(self.lines)} lines of {count} nodes")
        if any(max(source, target) >= count for source, target, _ in self.edges):
            raise ValueError(f"an edge leads to a node beyond the {count} that there are")
        return self


class Leak(Label):
    """Is there a way along which a value flows from source to sink, and which."""

    path: tuple[Node, ...] | None = Field(
        None, description="nodes of that way, in order; () where there is none"
    )


def _record(row: Row) -> Row:
    return {name: row[name] for name in Graph.model_fields}


def _truth(row: Row) -> Row:
    return truth_of(row["leaks"]) | {"path": row["path"]}


LAYOUT = Layout(
    "flows",
    frozenset({"nodes", "edges", "lines", "leaks", "path"}),
    _record,
    _truth,
    denied={"leaks": "the label", "path": "where the label comes from"},
)
SCHEMA = Schema("graph", Graph, {LAYOUT.name: LAYOUT}, truth=Leak)
