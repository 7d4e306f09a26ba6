"""The networks over tokens: convolutions and an LSTM, convolutions alone, self-attention, or what was pretrained.

Source: convolutions of several widths over word vectors, Kim 2014, "Convolutional Neural Networks for Sentence
Classification", section 2; an LSTM over what they find, Zhou et al. 2015, "A C-LSTM Neural Network for Text
Classification"; linear weights beside a network, Cheng et al. 2016, "Wide & Deep Learning for Recommender
Systems", section 3; self-attention, Vaswani et al. 2017, "Attention Is All You Need", before-norm blocks.

Padding never changes an answer: every convolution sees zeros behind the end of a message, every pooling
leaves them out, and the LSTM that reads backwards starts at each message's own end. `pack_padded_sequence`
does so too and does not export.

Shape legend: B rows, L places for tokens, P = L / POOL places, D width, C channels, H hidden, S numbers of the
shape, K kinds.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tocsin.detectors.phishing.config import POOL, PhishingConfig
from tocsin.features.tokenizer import PAD
from tocsin.nn.places import NOWHERE, mark_places, pool
from tocsin.nn.pretrained import PretrainedTrunk

UNIGRAM, BIGRAM = 2_654_435, 1_000_003
"""Odd factors that spread hashed n-grams over the wide weights."""


def reverse(x_BLC: Tensor, length_B: Tensor) -> Tensor:
    """Turn each row around within its own length; what lies behind the end stays there."""
    place_L = torch.arange(x_BLC.shape[1], device=x_BLC.device)
    from_BL = torch.where(place_L < length_B[:, None], length_B[:, None] - 1 - place_L, place_L)
    return x_BLC.gather(1, from_BL[..., None].expand(-1, -1, x_BLC.shape[2]))


class Convolutions(nn.Module):
    """Filters of several widths side by side: [B, L, D] -> [B, L, C], zero behind the end."""

    def __init__(self, config: PhishingConfig) -> None:
        super().__init__()
        self.filters = nn.ModuleList(
            nn.Conv1d(config.width, config.filters, kernel, padding=kernel // 2) for kernel in config.kernels
        )
        self.channels = config.filters * len(config.kernels)

    def forward(self, x_BLD: Tensor, inside_BL: Tensor) -> Tensor:
        """Expect zeros behind the end, as the first filter would otherwise read what is there."""
        x_BDL = x_BLD.transpose(1, 2)
        found_BCL = torch.cat([F.relu(conv(x_BDL)) for conv in self.filters], dim=1)
        return found_BCL.transpose(1, 2) * inside_BL[..., None]


class TwoWayLstm(nn.Module):
    """Two LSTMs, one over each row turned around within its length: [B, P, C] -> [B, P, 2H]."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(channels, hidden, batch_first=True)
        self.back = nn.LSTM(channels, hidden, batch_first=True)

    def forward(self, x_BPC: Tensor, length_B: Tensor) -> Tensor:
        """Return both states at each place; what stands behind the end means nothing."""
        if torch.onnx.is_in_onnx_export():
            return self._export(x_BPC, length_B)
        ahead_BPH, _ = self.ahead(x_BPC)
        back_BPH, _ = self.back(reverse(x_BPC, length_B))
        return torch.cat([ahead_BPH, reverse(back_BPH, length_B)], dim=2)

    def _export(self, x_BPC: Tensor, length_B: Tensor) -> Tensor:
        """Write ONNX's own operator, which turns rows around itself: PyTorch's fixes P when it is exported."""
        sides = [dict(side.named_parameters()) for side in (self.ahead, self.back)]

        def both(*names: str) -> Tensor:
            return torch.stack([torch.cat([_gates(side[name]) for name in names]) for side in sides])

        inputs = (
            x_BPC.transpose(0, 1),
            both("weight_ih_l0"),
            both("weight_hh_l0"),
            both("bias_ih_l0", "bias_hh_l0"),
            length_B.to(torch.int32),
        )
        places, rows = inputs[0].shape[:2]
        hidden = self.ahead.hidden_size
        found_P2BH: Tensor = torch.onnx.ops.symbolic(
            "LSTM",
            inputs,
            {"hidden_size": hidden, "direction": "bidirectional"},
            dtype=x_BPC.dtype,
            shape=(places, 2, rows, hidden),
            version=14,
        )
        return found_P2BH.permute(2, 0, 1, 3).flatten(2)


def _gates(values: Tensor) -> Tensor:
    """Put the gates of an LSTM's weights in ONNX's order: PyTorch has input, forget, cell, output."""
    return values.reshape(4, -1, *values.shape[1:])[[0, 3, 1, 2]].reshape(values.shape)


class CnnTrunk(nn.Module):
    """Convolutions, their maximum over the message, and with `lstm` what an LSTM reads in them."""

    def __init__(self, config: PhishingConfig, lstm: bool) -> None:
        super().__init__()
        self.convolutions = Convolutions(config)
        channels = self.convolutions.channels
        self.lstm = TwoWayLstm(channels, config.hidden) if lstm else None
        self.dropout = nn.Dropout(config.dropout)
        self.width = channels + (4 * config.hidden if lstm else channels)

    def forward(self, x_BLD: Tensor, length_B: Tensor) -> Tensor:
        """Return [B, width]."""
        inside_BL = mark_places(length_B, x_BLD.shape[1])
        found_BLC = self.convolutions(x_BLD, inside_BL)
        most_BC = found_BLC.amax(dim=1)  # at least 0, as is what lies behind the end
        if self.lstm is None:
            return torch.cat([most_BC, found_BLC.sum(dim=1) / length_B[:, None]], dim=1)
        found_BCL = F.pad(found_BLC.transpose(1, 2), (0, POOL - 1))  # a last, shorter group is a group
        x_BPC = F.max_pool1d(found_BCL, POOL).transpose(1, 2)
        length_B = (length_B + POOL - 1) // POOL
        states_BPH = self.lstm(self.dropout(x_BPC), length_B)
        return torch.cat([most_BC, pool(states_BPH, length_B)], dim=1)


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each normed before and added."""

    def __init__(self, config: PhishingConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, bias_B11L: Tensor) -> Tensor:
        """Attend to the places whose bias is 0."""
        parts = self.queries(self.attention_norm(x_BLD)).chunk(3, dim=2)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen_BHLE = F.scaled_dot_product_attention(q, k, v, attn_mask=bias_B11L)
        x_BLD = x_BLD + self.dropout(self.out(seen_BHLE.transpose(1, 2).flatten(2)))
        found_BLD: Tensor = x_BLD + self.dropout(self.feed(self.norm(x_BLD)))
        return found_BLD


class TransformerTrunk(nn.Module):
    """Blocks of self-attention over tokens and their places."""

    def __init__(self, config: PhishingConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("places", _waves(config.tokens, config.width), persistent=False)
        self.width = 2 * config.width

    def forward(self, x_BLD: Tensor, length_B: Tensor) -> Tensor:
        """Return [B, width]."""
        inside_BL = mark_places(length_B, x_BLD.shape[1])
        bias_B11L = torch.where(inside_BL, 0.0, NOWHERE).to(x_BLD.dtype)[:, None, None]
        assert isinstance(self.places, Tensor)
        x_BLD = x_BLD * math.sqrt(x_BLD.shape[2]) + self.places[: x_BLD.shape[1]]
        for block in self.blocks:
            x_BLD = block(x_BLD, bias_B11L.expand(-1, 1, x_BLD.shape[1], -1))
        return pool(self.norm(x_BLD), length_B)


def _waves(places: int, width: int) -> Tensor:
    """Return sines and cosines of falling frequency, [L, D]. Source: Vaswani et al. 2017, section 3.5."""
    angle = torch.arange(places)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(1e4) / width))
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]


class Wide(nn.Module):
    """A weight for every hashed token and pair of neighbours: a linear model beside the network."""

    def __init__(self, weights: int) -> None:
        super().__init__()
        self.weights = weights
        self.table = nn.Embedding(weights, 1)
        nn.init.zeros_(self.table.weight)

    def forward(self, tokens_BL: Tensor, length_B: Tensor) -> Tensor:
        """Return [B]: the sum over n-grams, divided by the root of their number."""
        before_BL = F.pad(tokens_BL[:, :-1], (1, 0))
        pairs_BL = (tokens_BL * BIGRAM + before_BL * UNIGRAM + 1) % self.weights
        both_BL = self.table(tokens_BL * UNIGRAM % self.weights) + self.table(pairs_BL)
        inside_BL = mark_places(length_B, tokens_BL.shape[1])
        total_B: Tensor = (both_BL.squeeze(2) * inside_BL).sum(dim=1)
        return total_B / length_B.to(total_B.dtype).sqrt()


class MessageModel(nn.Module):
    """Tokens and shape of a message -> `logit` [B], and `category` [B, K] where there are kinds."""

    def __init__(self, config: PhishingConfig, vocabulary: int, shape: int, kinds: int) -> None:
        super().__init__()
        self.embedding: nn.Embedding | None
        self.trunk: CnnTrunk | TransformerTrunk | PretrainedTrunk
        if config.pretrained is not None:
            self.embedding, self.trunk = None, PretrainedTrunk(config.pretrained, vocabulary, config.tokens)
        else:
            self.embedding, self.trunk = make_embedding(vocabulary, config.width), make_trunk(config)
        self.dropout = nn.Dropout(config.dropout)
        self.shape = nn.Sequential(nn.Linear(shape, 32), nn.ReLU()) if config.shape else None
        self.head = nn.Linear(self.trunk.width + (32 if config.shape else 0), 1 + kinds)
        self.wide = Wide(config.wide) if config.wide else None

    def forward(self, tokens: Tensor, length: Tensor, shape: Tensor) -> dict[str, Tensor]:
        """Take int64 [B, L] padded with 0, int64 [B] of at least 1, float32 [B, S]."""
        x = tokens
        if self.embedding is not None:
            x = self.dropout(self.embedding(tokens)) * mark_places(length, tokens.shape[1])[..., None]
        pooled_BC = self.dropout(self.trunk(x, length))
        if self.shape is not None:
            pooled_BC = torch.cat([pooled_BC, self.shape(shape).to(pooled_BC.dtype)], dim=1)
        out_BK = self.head(pooled_BC)
        logit_B = out_BK[:, 0] if self.wide is None else out_BK[:, 0] + self.wide(tokens, length)
        found = {"logit": logit_B}
        return found | {"category": out_BK[:, 1:]} if out_BK.shape[1] > 1 else found


def make_embedding(vocabulary: int, width: int) -> nn.Embedding:
    """Return small random vectors, and zeros for the padding."""
    found = nn.Embedding(vocabulary, width, padding_idx=PAD)
    nn.init.normal_(found.weight, std=0.1)
    with torch.no_grad():
        found.weight[PAD] = 0.0
    return found


def make_trunk(config: PhishingConfig) -> CnnTrunk | TransformerTrunk:
    """Return what reads the vectors of tokens."""
    if config.architecture == "transformer":
        return TransformerTrunk(config)
    return CnnTrunk(config, lstm=config.architecture == "cnn-lstm")


def build_model(config: PhishingConfig, vocabulary: int, shape: int, kinds: int) -> nn.Module:
    """Return the network that the recipe asks for; K = 0 kinds leaves `category` out."""
    return MessageModel(config, vocabulary, shape, kinds)
