"""The network that answers: the same sums as in `model`, a place at a time and without torch.

Shape legend: P places before, D width, H heads, V tokens.
"""

from codecs import getincrementaldecoder
from collections.abc import Iterator

import numpy as np
from safetensors.numpy import load as load_safetensors

from tocsin.core.language import Limits
from tocsin.core.types import Arrays, Files, Sample

BASE, ADAPTERS = "base.safetensors", "adapters.safetensors"
HEADS = 4
NEAR = 4
"""Places that are known in their order."""
ASK, END = 256, 257
"""Tokens behind the bytes: the answer begins, and ends."""
TOKENS = 258


class Writer:
    """Writes the most probable next token until that is the end."""

    def __init__(self, weights: Arrays) -> None:
        self.weights = weights
        self.layers = sum(name.endswith(".look.weight") for name in weights)

    def stream(self, sample: Sample, limits: Limits) -> Iterator[str]:
        prompt = [*sample.model_dump()["question"].encode(), ASK]
        text, seen = getincrementaldecoder("utf-8")("replace"), [[] for _ in range(self.layers)]
        for place in range(len(prompt)):
            logits_V = self._read(prompt[: place + 1], seen)
        written: list[int] = []
        while len(written) < limits.tokens and (token := int(logits_V.argmax())) < ASK:
            written.append(token)
            yield text.decode(bytes([token]))
            logits_V = self._read([*prompt, *written], seen)

    def _read(self, tokens: list[int], seen: list[list[np.ndarray]]) -> np.ndarray:
        """Return what may follow [V]; `seen` holds the keys and values of each layer and grows by a place."""
        near = tokens[-NEAR:]
        x_D = (self.weights["tokens.weight"][near] * self.weights["near"][-len(near) :]).sum(0)
        for layer, before in enumerate(seen):
            name = f"blocks.{layer}."
            query, *more = self._apply(name + "look", self._level(name + "first", x_D)).reshape(3, HEADS, -1)
            before.append(np.stack(more))
            keys, values = np.stack(before, axis=1)
            score_PH = (keys * query).sum(-1) / np.sqrt(query.shape[-1])
            share_PH = np.exp(score_PH - score_PH.max(0))
            found = (values * (share_PH / share_PH.sum(0))[..., None]).sum(0).reshape(-1)
            x_D = x_D + self._apply(name + "mix", found)
            hidden = np.maximum(self._apply(name + "rise", self._level(name + "second", x_D)), 0)
            x_D = x_D + self._apply(name + "fall", hidden)
        return self.weights["tokens.weight"] @ self._level("last", x_D)

    def _apply(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.weights[name + ".weight"] @ x + self.weights[name + ".bias"]

    def _level(self, name: str, x: np.ndarray) -> np.ndarray:
        even = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        return even * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def load(files: Files) -> Writer:
    """Return the writer; the adapters are added to the layers that they stand beside."""
    weights, beside = (load_safetensors(files[name]) for name in (BASE, ADAPTERS))
    for name in [name.removesuffix(".up") for name in beside if name.endswith(".up")]:
        weights[name + ".weight"] += beside[name + ".up"] @ beside[name + ".down"]
    return Writer(weights)
