"""The transformers over flow features, and the masked-feature model that pretrains their trunk.

Source: Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data" (FT-Transformer,
section 3.3); Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning"
(piecewise-linear encoding, section 3.2.1); Huang et al. 2020, "TabTransformer" (section 2).

Shape legend: B rows, N numeric features, C categorical features, F = N + C features, L = F + 1 tokens with
[CLS], D width of a token, H heads, K attack families, T bins.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tocsin.detectors.intrusion.config import IntrusionConfig

HIDDEN = 2
"""State of a numeric cell, and id of a categorical one, that is hidden from the model."""


@dataclass(frozen=True)
class Features:
    """What a model must know about the encoder's arrays."""

    numeric: int
    cardinalities: tuple[int, ...]
    """Ids of each categorical feature, unknown, missing and hidden among them."""
    edges: np.ndarray | None = field(default=None, compare=False)
    """[N, T + 1] rising bin edges, in the units of the `numeric` array; equal edges make an empty bin."""


def fill(*shape: int, width: int) -> nn.Parameter:
    """Return a parameter drawn uniformly from ±1/sqrt(width), as the FT-Transformer draws its tokens."""
    return nn.Parameter(torch.empty(*shape).uniform_(-(width**-0.5), width**-0.5))


class LinearNumbers(nn.Module):
    """`b_j + x_j W_j`: [B, N] -> [B, N, D]."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = fill(count, width, width=width)
        self.bias = fill(count, width, width=width)

    def forward(self, numeric_BN: Tensor) -> Tensor:
        """Embed each number by its own vector."""
        return numeric_BN[..., None] * self.weight + self.bias


class PiecewiseNumbers(nn.Module):
    """`b_j + sum_t e_t(x_j) W_jt`, where e_t is the filled share of bin t: [B, N] -> [B, N, D].

    The paper lets the first and last bin grow without bound; here they end, so that a number beyond all
    training rows counts as the largest one. Source: Gorishniy et al. 2022, equation 1.
    """

    lower_NT: Tensor
    scale_NT: Tensor

    def __init__(self, edges: np.ndarray, width: int) -> None:
        super().__init__()
        edges_NT = torch.as_tensor(np.asarray(edges), dtype=torch.float32)
        span_NT = edges_NT[:, 1:] - edges_NT[:, :-1]
        scale_NT = torch.where(span_NT > 0, 1 / span_NT.clamp(min=1e-12), torch.zeros_like(span_NT))
        self.register_buffer("lower_NT", edges_NT[:, :-1].contiguous())
        self.register_buffer("scale_NT", scale_NT)
        count, bins = span_NT.shape
        self.weight = fill(count, bins, width, width=width)
        self.bias = fill(count, width, width=width)

    def forward(self, numeric_BN: Tensor) -> Tensor:
        """Embed each number by how far it fills its feature's bins."""
        filled_BNT = ((numeric_BN[..., None] - self.lower_NT) * self.scale_NT).clamp(0, 1)
        return torch.einsum("bnt,ntd->bnd", filled_BNT, self.weight) + self.bias


def embed_numbers(features: Features, config: IntrusionConfig) -> nn.Module:
    """Return the numeric embedding that the recipe asks for."""
    if config.numeric_embedding == "piecewise":
        assert features.edges is not None, "piecewise embeddings need the encoder's bin edges"
        return PiecewiseNumbers(features.edges, config.width)
    return LinearNumbers(features.numeric, config.width)


class Numbers(nn.Module):
    """Tokens of the numeric features; missing and hidden cells have learned tokens of their own."""

    def __init__(self, features: Features, config: IntrusionConfig) -> None:
        super().__init__()
        self.value = embed_numbers(features, config)
        self.absent = fill(features.numeric, HIDDEN, config.width, width=config.width)

    def forward(self, numeric_BN: Tensor, state_BN: Tensor) -> Tensor:
        """Return [B, N, D]; what stands in an absent cell does not matter, not even NaN."""
        absent_BN = state_BN > 0
        token_BND = self.value(numeric_BN.masked_fill(absent_BN, 0.0))
        missing_ND, hidden_ND = self.absent.unbind(1)
        other_BND = torch.where((state_BN == HIDDEN)[..., None], hidden_ND, missing_ND)
        return torch.where(absent_BN[..., None], other_BND.to(token_BND.dtype), token_BND)


class Classes(nn.Module):
    """Tokens of the categorical features: one table for all, an offset and a bias for each."""

    offset_C: Tensor

    def __init__(self, cardinalities: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.table = fill(sum(cardinalities), width, width=width)
        self.bias = fill(len(cardinalities), width, width=width)
        offset = np.cumsum((0, *cardinalities[:-1])).astype(np.int64)
        self.register_buffer("offset_C", torch.as_tensor(offset), persistent=False)

    def forward(self, categorical_BC: Tensor) -> Tensor:
        """Return [B, C, D]."""
        return F.embedding(categorical_BC + self.offset_C, self.table) + self.bias


class Attention(nn.Module):
    """Multi-head attention of some tokens over all of them."""

    def __init__(self, config: IntrusionConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.attention_dropout
        self.query, self.key, self.value, self.out = (nn.Linear(config.width, config.width) for _ in range(4))
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.zeros_(layer.bias)

    def forward(self, asking_BQD: Tensor, x_BLD: Tensor) -> Tensor:
        """Return [B, Q, D]."""
        q_BHQE = self._split(self.query(asking_BQD))
        k_BHLE, v_BHLE = self._split(self.key(x_BLD)), self._split(self.value(x_BLD))
        mixed_BHQE = self._mix(q_BHQE, k_BHLE, v_BHLE)
        return self.out(mixed_BHQE.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _mix(self, q_BHQE: Tensor, k_BHLE: Tensor, v_BHLE: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if q_BHQE.is_cuda:
            return F.scaled_dot_product_attention(q_BHQE, k_BHLE, v_BHLE, dropout_p=dropout)
        # On a CPU a training step with the fused kernels takes 1.6 (with dropout) to 2.6 times as long.
        share_BHQL = torch.softmax(q_BHQE * q_BHQE.shape[-1] ** -0.5 @ k_BHLE.transpose(-2, -1), dim=-1)
        return F.dropout(share_BHQL, dropout) @ v_BHLE

    def _split(self, x_BLD: Tensor) -> Tensor:
        rows, tokens, width = x_BLD.shape
        return x_BLD.reshape(rows, tokens, self.heads, width // self.heads).transpose(1, 2)


class ReGLU(nn.Module):
    """`a * relu(b)` of the two halves."""

    def forward(self, x: Tensor) -> Tensor:
        """Halve the last axis."""
        a, b = x.chunk(2, dim=-1)
        return a * F.relu(b)


class Block(nn.Module):
    """Pre-norm attention and ReGLU; the first block of a trunk leaves its attention's norm out."""

    def __init__(self, config: IntrusionConfig, first: bool) -> None:
        super().__init__()
        self.attention_norm = nn.Identity() if first else nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, 2 * config.feedforward),
            ReGLU(),
            nn.Dropout(config.feedforward_dropout),
            nn.Linear(config.feedforward, config.width),
        )
        self.dropout = nn.Dropout(config.residual_dropout)

    def forward(self, x_BLD: Tensor, only_first: bool = False) -> Tensor:
        """Return [B, L, D], or [B, 1, D] where only the first token is wanted."""
        normed_BLD = self.attention_norm(x_BLD)
        asking_BQD, x_BQD = (normed_BLD[:, :1], x_BLD[:, :1]) if only_first else (normed_BLD, x_BLD)
        x_BQD = x_BQD + self.dropout(self.attention(asking_BQD, normed_BLD))
        return x_BQD + self.dropout(self.feedforward(x_BQD))  # type: ignore[no-any-return]


class Trunk(nn.Module):
    """Features to contextual tokens: what pretraining hands on to fine-tuning."""

    def __init__(self, features: Features, config: IntrusionConfig) -> None:
        super().__init__()
        self.features = features
        self.cls = fill(config.width, width=config.width)
        self.numbers = Numbers(features, config) if features.numeric else None
        self.classes = Classes(features.cardinalities, config.width) if features.cardinalities else None
        self.blocks = nn.ModuleList(Block(config, first=i == 0) for i in range(config.layers))

    def forward(
        self, numeric_BN: Tensor, state_BN: Tensor, categorical_BC: Tensor, only_first: bool = False
    ) -> Tensor:
        """Return [B, L, D] with [CLS] first, then numeric, then categorical features; or [B, 1, D]."""
        tokens = [self.cls.expand(categorical_BC.shape[0], 1, -1)]
        if self.numbers is not None:
            tokens.append(self.numbers(numeric_BN, state_BN))
        if self.classes is not None:
            tokens.append(self.classes(categorical_BC))
        x_BLD = torch.cat(tokens, dim=1)
        for i, block in enumerate(self.blocks):
            x_BLD = block(x_BLD, only_first=only_first and i + 1 == len(self.blocks))
        return x_BLD


def name_outputs(out_BK: Tensor) -> dict[str, Tensor]:
    """Return the first column as `logit` [B] and the others, if any, as `category` [B, K]."""
    outputs = {"logit": out_BK[:, 0]}
    return outputs | {"category": out_BK[:, 1:]} if out_BK.shape[1] > 1 else outputs


class FTTransformer(nn.Module):
    """Every feature a token; [CLS] is read. Source: Gorishniy et al. 2021, section 3.3."""

    def __init__(self, features: Features, config: IntrusionConfig, families: int) -> None:
        super().__init__()
        self.trunk = Trunk(features, config)
        out = nn.Linear(config.width, 1 + families)
        self.head = nn.Sequential(nn.LayerNorm(config.width), nn.ReLU(), out)

    def forward(self, numeric: Tensor, state: Tensor, categorical: Tensor) -> dict[str, Tensor]:
        """Take [B, N] float32, [B, N] int64 and [B, C] int64; return `logit` [B] and `category` [B, K]."""
        return name_outputs(self.head(self.trunk(numeric, state, categorical, only_first=True)[:, 0]))


class TabTransformer(nn.Module):
    """Only categorical features are tokens; numbers join after the trunk.

    The blocks are the FT-Transformer's (pre-norm, ReGLU), so that a comparison changes one thing.
    Source: Huang et al. 2020, section 2.
    """

    def __init__(self, features: Features, config: IntrusionConfig, families: int) -> None:
        super().__init__()
        self.trunk = Trunk(classes_only(features), config)
        self.absent = nn.Parameter(torch.zeros(features.numeric, HIDDEN))
        self.norm = nn.LayerNorm(features.numeric) if features.numeric else nn.Identity()
        joined = features.numeric + len(features.cardinalities) * config.width
        self.head = nn.Sequential(
            nn.Linear(joined, 4 * config.width),
            nn.ReLU(),
            nn.Dropout(config.feedforward_dropout),
            nn.Linear(4 * config.width, config.width),
            nn.ReLU(),
            nn.Linear(config.width, 1 + families),
        )

    def forward(self, numeric: Tensor, state: Tensor, categorical: Tensor) -> dict[str, Tensor]:
        """Take and return what `FTTransformer.forward` does."""
        missing_N, hidden_N = self.absent.unbind(1)
        known_BN = torch.where(state == 1, missing_N, torch.where(state == HIDDEN, hidden_N, numeric))
        tokens_BCD = self.trunk(numeric[:, :0], state[:, :0], categorical)[:, 1:]
        return name_outputs(self.head(torch.cat([self.norm(known_BN), tokens_BCD.flatten(1)], dim=1)))


class MaskedFeatureModel(nn.Module):
    """A trunk that restores hidden features: numbers by their value, classes by logits over their ids.

    The TabTransformer's trunk sees classes only, so only these are restored, as in Huang et al. 2020.
    """

    def __init__(self, features: Features, config: IntrusionConfig) -> None:
        super().__init__()
        features = pretrained_features(features, config)
        self.features = features
        self.trunk = Trunk(features, config)
        self.norm = nn.LayerNorm(config.width)
        self.weight = fill(features.numeric + sum(features.cardinalities), config.width, width=config.width)
        self.bias = nn.Parameter(torch.zeros(features.numeric + sum(features.cardinalities)))

    def forward(self, numeric: Tensor, state: Tensor, categorical: Tensor) -> dict[str, Tensor]:
        """Return `numeric` [B, N] and `classes` [B, sum of cardinalities], feature after feature."""
        n = self.features.numeric
        x_BFD = self.norm(self.trunk(numeric[:, :n], state[:, :n], categorical)[:, 1:])
        numeric_BN = (x_BFD[:, :n] * self.weight[:n]).sum(-1) + self.bias[:n]
        sizes = list(self.features.cardinalities)
        weights, biases = torch.split(self.weight[n:], sizes), torch.split(self.bias[n:], sizes)
        logits = [F.linear(x_BFD[:, n + j], weights[j], biases[j]) for j in range(len(sizes))]
        return {"numeric": numeric_BN, "classes": torch.cat([numeric_BN[:, :0], *logits], dim=1)}


def classes_only(features: Features) -> Features:
    """Return the features without the numeric ones."""
    return Features(0, features.cardinalities)


def pretrained_features(features: Features, config: IntrusionConfig) -> Features:
    """Return the features that the architecture's trunk sees, which are those that pretraining restores."""
    return features if config.architecture == "ft-transformer" else classes_only(features)


def build_model(features: Features, config: IntrusionConfig, families: int) -> nn.Module:
    """Return the classifier that the recipe asks for; K = 0 families leaves `category` out."""
    kind = FTTransformer if config.architecture == "ft-transformer" else TabTransformer
    return kind(features, config, families)
