"""Messages along typed edges.

Shape legend: B graphs, N nodes, E edges, H width, R relations (each kind of edge, there and back).
"""

import torch
from torch import Tensor, nn

from tocsin.nn.places import mark_places, pool

from .config import GraphConfig
from .sample import EDGES, NODES


class Round(nn.Module):
    """Each node hears from its neighbours, over another matrix for each kind and direction of edge."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.relations = nn.Linear(width, 2 * len(EDGES) * width, bias=False)

    def forward(self, state: Tensor, ends: tuple[Tensor, Tensor], kind: Tensor, is_edge: Tensor) -> Tensor:
        """state: [B * N, H]; ends: numbers of the nodes that an edge leaves and leads to, [B * E] each."""
        source, target = ends
        said = self.relations(state).reshape(-1, state.shape[1])  # [B * N * R, H]
        relations = 2 * len(EDGES)
        there, back = said[source * relations + kind], said[target * relations + len(EDGES) + kind]
        heard = torch.where(is_edge[:, None].repeat(2, 1), torch.cat([there, back]), 0.0)
        heard = torch.zeros_like(state).index_add(0, torch.cat([target, source]), heard.to(state))
        return state + torch.relu(self.own(state) + heard)


class GraphNet(nn.Module):
    """A few rounds, a logit for each node, and one for the graph."""

    def __init__(self, config: GraphConfig) -> None:
        super().__init__()
        self.typed = config.typed
        self.nodes = nn.Embedding(len(NODES), config.width)
        self.rounds = nn.ModuleList(Round(config.width) for _ in range(config.rounds))
        self.on_path = nn.Linear(config.width, 1)
        self.leaks = nn.Linear(2 * config.width, 1)

    def forward(
        self, nodes: Tensor, node_count: Tensor, edges: Tensor, kinds: Tensor, edge_count: Tensor
    ) -> dict[str, Tensor]:
        """Return `logit` [B] and `path` [B, N]."""
        graphs, places = nodes.shape
        first = torch.arange(graphs, device=nodes.device)[:, None] * places
        ends = edges.clamp(min=0) + first[..., None]
        is_edge = mark_places(edge_count, edges.shape[1]).reshape(-1)
        kind = (kinds if self.typed else torch.zeros_like(kinds)).reshape(-1)
        state = self.nodes(nodes).reshape(graphs * places, -1)
        for hear in self.rounds:
            state = hear(state, (ends[..., 0].reshape(-1), ends[..., 1].reshape(-1)), kind, is_edge)
        state = state.reshape(graphs, places, -1)
        return {
            "logit": self.leaks(pool(state, node_count)).squeeze(-1),
            "path": self.on_path(state).squeeze(-1),
        }
