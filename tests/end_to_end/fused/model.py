"""Two models that each read a part of a login, one that weighs their logits, and all three as one.

Shape legend: B logins, W words of the bag.
"""

import torch
from torch import Tensor, nn

from .encode import BUCKETS, NUMBERS


class NumbersNet(nn.Module):
    """One hidden layer over the numbers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(len(NUMBERS), width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, numbers: Tensor) -> dict[str, Tensor]:
        """Return `logit` [B] of numbers [B, 2]."""
        return {"logit": self.layers(numbers).squeeze(-1)}


class WordsNet(nn.Module):
    """A weight for each word of the bag."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(BUCKETS, 1)

    def forward(self, words: Tensor) -> dict[str, Tensor]:
        """Return `logit` [B] of words [B, W]."""
        return {"logit": self.weigh(words).squeeze(-1)}


class FusionNet(nn.Module):
    """A weight for the logit of each model."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(2, 1)

    def forward(self, logits: Tensor) -> dict[str, Tensor]:
        """Return `logit` [B] of logits [B, 2]."""
        return {"logit": self.weigh(logits).squeeze(-1)}


class FusedNet(nn.Module):
    """From the arrays of a login to one logit."""

    def __init__(self, by_numbers: nn.Module, by_words: nn.Module, fusion: nn.Module) -> None:
        super().__init__()
        self.by_numbers, self.by_words, self.fusion = by_numbers, by_words, fusion

    def forward(self, numbers: Tensor, words: Tensor) -> dict[str, Tensor]:
        """Return `logit` [B]."""
        logits = [self.by_numbers(numbers)["logit"], self.by_words(words)["logit"]]
        return dict(self.fusion(torch.stack(logits, dim=1)))
