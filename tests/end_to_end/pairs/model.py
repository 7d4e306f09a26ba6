"""Each word of the text beside its neighbours, and beside what is asked.

Shape legend: B pairs, L words, H width.
"""

import torch
from torch import Tensor, nn

from tocsin.nn.places import mark_places, pool

from .encode import CRITERION, TEXT


class PairNet(nn.Module):
    """A convolution over the text, each word times the criterion, and a head for spans and one for the verdict."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(size, width)
        self.near = nn.Conv1d(width, width, 3, padding=1)
        self.mixed = nn.Linear(3 * width, width)
        self.edges = nn.Linear(width, 2)
        self.meets = nn.Linear(2 * width, 1)

    def forward(self, words: Tensor, segment: Tensor, length: Tensor) -> dict[str, Tensor]:
        """Return `logit` [B] and `spans` [B, L, 2]."""
        inside = mark_places(length, words.shape[1])
        asks, says = ((inside & (segment == part))[..., None] for part in (CRITERION, TEXT))
        word_BLH = self.words(words)
        asked_B1H = torch.where(asks, word_BLH, 0.0).sum(1, keepdim=True) / asks.sum(1, keepdim=True).clamp(1)
        text_BLH = torch.where(says, word_BLH, 0.0)
        near_BLH = torch.relu(self.near(text_BLH.transpose(1, 2)).transpose(1, 2))
        asked_BLH = asked_B1H.expand_as(near_BLH)
        state_BLH = torch.relu(self.mixed(torch.cat([near_BLH, asked_BLH, near_BLH * asked_BLH], dim=-1)))
        state_BLH = torch.where(says, state_BLH, 0.0)
        return {
            "logit": self.meets(pool(state_BLH, length)).squeeze(-1),
            "spans": self.edges(state_BLH),
        }
