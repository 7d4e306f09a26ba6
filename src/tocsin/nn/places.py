"""Which places of a row are its own, and what is pooled over them.

Shape legend: B rows, L or P places, H width.
"""

import torch
from torch import Tensor

NOWHERE = -1e4
"""What a place behind the end counts in a maximum."""


def mark_places(length_B: Tensor, places: int) -> Tensor:
    """Return bool [B, L]: True up to each row's length."""
    return torch.arange(places, device=length_B.device) < length_B[:, None]


def pool(states_BPH: Tensor, length_B: Tensor) -> Tensor:
    """Return the maximum and the mean over each row's own places, [B, 2H]."""
    inside_BP1 = mark_places(length_B, states_BPH.shape[1])[..., None]
    most_BH = torch.where(inside_BP1, states_BPH, NOWHERE).amax(dim=1)
    mean_BH = torch.where(inside_BP1, states_BPH, 0.0).sum(dim=1) / length_B[:, None]
    return torch.cat([most_BH, mean_BH], dim=1)
