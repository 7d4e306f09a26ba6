"""The network that trains: a causal transformer over bytes, and adapters of low rank on its frozen layers.

Source of the adapters: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".

Shape legend: B rows, L places, D width, H heads, V tokens, R rank.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import FirewallConfig
from .writer import HEADS, NEAR, TOKENS

Make = Callable[[int, int], nn.Linear]
"""(inputs, outputs) -> a layer."""


class Adapted(nn.Linear):
    """A frozen layer and a product of two small matrices beside it, which begins as nothing."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__(inputs, outputs)
        self.down = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.down.T @ self.up.T


class Block(nn.Module):
    """What looks at the places before, and a hidden layer."""

    def __init__(self, width: int, make: Make) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look, self.mix = make(width, 3 * width), make(width, width)
        self.rise, self.fall = make(width, 2 * width), make(2 * width, width)

    def forward(self, x_BLD: Tensor) -> Tensor:
        rows, places, width = x_BLD.shape
        parts = self.look(self.first(x_BLD)).view(rows, places, 3, HEADS, width // HEADS)
        seen = F.scaled_dot_product_attention(*parts.permute(2, 0, 3, 1, 4), is_causal=True)
        x_BLD = x_BLD + self.mix(seen.transpose(1, 2).reshape(rows, places, width))
        return x_BLD + self.fall(F.relu(self.rise(self.second(x_BLD))))


class LanguageNet(nn.Module):
    """The next token after each place, which sees those before it, and knows the nearest in their order."""

    def __init__(self, config: FirewallConfig, make: Make) -> None:
        super().__init__()
        self.tokens = nn.Embedding(TOKENS, config.width)
        self.near = nn.Parameter(torch.randn(NEAR, config.width) / 2)
        self.blocks = nn.ModuleList(Block(config.width, make) for _ in range(config.layers))
        self.last = nn.LayerNorm(config.width)
        nn.init.normal_(self.tokens.weight, std=0.1)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        padded = F.pad(self.tokens(tokens), (0, 0, NEAR - 1, 0))
        x_BLD = (padded.unfold(1, NEAR, 1) * self.near.T).sum(-1)
        for block in self.blocks:
            x_BLD = block(x_BLD)
        return {"next": self.last(x_BLD) @ self.tokens.weight.T}


def build_base(config: FirewallConfig) -> LanguageNet:
    """Return the network, all of which trains."""
    return LanguageNet(config, nn.Linear)


def build_adapted(config: FirewallConfig) -> LanguageNet:
    """Return the network of which the adapters alone train; its other names are those of the base."""
    model = LanguageNet(config, lambda inputs, outputs: Adapted(inputs, outputs, config.rank))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith((".down", ".up")))
    return model
