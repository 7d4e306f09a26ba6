"""Batches of messages: rows drawn evenly over where they come from, texts disguised, tokens hidden.

Everything random comes from (seed, epoch, place of the batch). Rows of like length share a batch, and tokens
are cut at the longest row: padding costs time and says nothing.

Shape legend: B rows of a batch, N rows, L places for tokens, T tokens of the vocabulary.
"""

import math
import random
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from tocsin.core.axes import Axes, cut
from tocsin.core.errors import InputError
from tocsin.core.promise import Promise
from tocsin.core.types import Arrays, Columns, take
from tocsin.detectors.phishing.config import POOL, PhishingConfig
from tocsin.detectors.phishing.disguise import disguise
from tocsin.detectors.phishing.encode import MessageEncoder
from tocsin.engine.batch import Batch
from tocsin.engine.task import Part
from tocsin.features.tokenizer import SPECIAL, count_tokens
from tocsin.nn.losses import loss_terms

READ = ("tokens", "length", "shape")
"""The arrays that the network reads; the others are for simpler models."""
BUCKET = 16
"""Batches whose rows are sorted by length together."""
INSIDE = "##"
"""What BERT's tokenizers write before a piece that does not begin a word."""
MARK_SHARE, MARK_ROWS = 0.95, 10
"""A token is a mark of a source if this share of it is in one source, and it is in so many rows."""


@dataclass
class MessageBatches:
    """A BatchSource over encoded messages; `training` draws, disguises and hides, else rows stand as they are."""

    promise: ClassVar[Promise] = Promise(labels="kept", spans="none")
    part: Part
    batch_size: int
    encoder: MessageEncoder
    config: PhishingConfig
    seed: int = 0
    training: bool = False
    weight_2: Tensor | None = None
    _order: tuple[int, np.ndarray] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._cells = cells(self.part, self.config.balance)
        is_marked = self.training and self.config.mark_share > 0
        self._marks = find_marks(self.part, self.encoder.size) if is_marked else None
        self._words, self._rare = word_tokens(self.encoder.tokenizer)
        self._terms = loss_terms(torch.as_tensor(self.part.label), self.weight_2)

    def __len__(self) -> int:
        return math.ceil(len(self.part) / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        epoch, place = divmod(index, len(self))
        index_B = self._order_of(epoch)[place * self.batch_size : (place + 1) * self.batch_size]
        arrays = take(self.part.arrays, index_B)
        if self.training:
            rng = np.random.default_rng((self.seed, epoch, place))
            arrays = self._hide(self._estrange(self._disguise(arrays, index_B, rng), rng), rng)
        inputs = {name: torch.from_numpy(values) for name, values in trim(arrays, self.encoder.axes).items()}
        targets = {
            "label": torch.as_tensor(self.part.label[index_B]),
            "category": torch.as_tensor(self.part.category[index_B]),
        }
        return Batch(inputs, targets, self._terms[torch.as_tensor(index_B)])

    def _order_of(self, epoch: int) -> np.ndarray:
        if not self.training:
            return np.arange(len(self.part))
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            drawn = rng.permutation(len(self.part)) if self._cells is None else draw_cells(self._cells, rng)
            self._order = (epoch, bucket(drawn, self.part.arrays["length"], self.batch_size, rng))
        return self._order[1]

    def _disguise(self, arrays: Arrays, index_B: np.ndarray, rng: np.random.Generator) -> Arrays:
        """Encode some of the texts again, disguised."""
        rows = np.flatnonzero(rng.random(len(index_B)) < self.config.augment_share)
        if not len(rows):
            return arrays
        columns: Columns = take(self.part.columns, index_B[rows])
        letters = random.Random(int(rng.integers(2**62)))
        texts = [disguise(text, letters) for text in columns["text"]]
        changed = {**columns, "text": np.array(texts, dtype=object)}
        found = self.encoder.encode(changed)
        for name, values in found.items():
            arrays[name][rows] = values
        return arrays

    def _estrange(self, arrays: Arrays, rng: np.random.Generator) -> Arrays:
        """Write the words of some messages in a language that nobody knows: signs, digits and links stay.

        So the model learns how much to believe the rest of a message when its words say nothing.
        """
        tokens = arrays["tokens"]
        rows = rng.random(len(tokens)) < self.config.foreign_share
        if not len(self._rare) or not rows.any():
            return arrays
        strange = np.arange(self.encoder.size)
        strange[self._words] = rng.choice(self._rare, len(self._words))
        return {**arrays, "tokens": np.where(rows[:, None], strange[tokens], tokens)}

    def _hide(self, arrays: Arrays, rng: np.random.Generator) -> Arrays:
        """Hide tokens at random, those that tell the source more often, and some shapes."""
        tokens, config = arrays["tokens"], self.config
        inside = np.arange(tokens.shape[1]) < arrays["length"][:, None]
        share = 2 * config.hide_share * rng.random((len(tokens), 1))
        chance = np.broadcast_to(share, tokens.shape)
        if self._marks is not None:
            chance = np.where(self._marks[tokens], np.maximum(share, config.mark_share), share)
        hidden = inside & (rng.random(tokens.shape) < chance)
        unseen = rng.random(len(tokens)) < config.shape_dropout
        shape = np.where(unseen[:, None], np.float32(0), arrays["shape"])
        return {**arrays, "tokens": np.where(hidden, self.encoder.hidden, tokens), "shape": shape}


def word_tokens(tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of tokens that are letters, and of those that a strange text is made of.

    Ids rise as tokens get rarer: a strange text has the rarer half of the letters, and parts of characters.
    """
    texts = tokenizer.decode_batch([[token] for token in range(count_tokens(tokenizer))])
    words = np.flatnonzero([text.strip().removeprefix(INSIDE).isalpha() for text in texts])
    parts = np.flatnonzero(["\ufffd" in text for text in texts])
    return words, np.concatenate([words[len(words) // 2 :], parts])


def trim(arrays: Arrays, axes: Axes) -> Arrays:
    """Return what the network reads, the tokens cut at the longest row, rounded up to whole places of the LSTM."""
    return cut({name: arrays[name] for name in READ}, axes, multiple=POOL)


def cells(part: Part, balance: str) -> list[list[np.ndarray]] | None:
    """Return class -> source -> rows, or None to draw rows as they are; InputError without a labelled row."""
    if balance == "none":
        return None
    source = part.facets.get("source") if balance == "source" else None
    names = np.full(len(part), "") if source is None else source.astype(str)
    found = [
        [
            np.flatnonzero((part.label == side) & (names == name))
            for name in np.unique(names[part.label == side])
        ]
        for side in (0, 1)
    ]
    found = [rows for rows in found if rows]
    if not found:
        raise InputError("no row carries a label, so there is nothing to draw")
    return found


def draw_cells(by_class: list[list[np.ndarray]], rng: np.random.Generator) -> np.ndarray:
    """Draw as many rows as there are: classes equally, and within a class sources by the root of their size.

    A source's rows are used up in a random order before one of them comes again.
    """
    total = sum(len(rows) for sources in by_class for rows in sources)
    drawn = []
    for sources in by_class:
        weight = np.sqrt([len(rows) for rows in sources])
        counts = rng.multinomial(total // len(by_class), weight / weight.sum())
        drawn += [_draw(rows, count, rng) for rows, count in zip(sources, counts.tolist(), strict=True)]
    order = rng.permutation(np.concatenate(drawn))
    return np.concatenate([order, order[: total - len(order)]])


def _draw(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate([rows[:0], *rounds])[:count]


def bucket(order: np.ndarray, length: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """Sort rows by length within runs of BUCKET batches, and shuffle the whole batches of each run."""
    found = []
    for start in range(0, len(order), BUCKET * batch_size):
        run = order[start : start + BUCKET * batch_size]
        run = run[np.argsort(length[run], kind="stable")]
        batches = [run[i : i + batch_size] for i in range(0, len(run), batch_size)]
        last = batches.pop() if len(run) % batch_size else run[:0]  # a small batch stays the last
        found += [batches[i] for i in rng.permutation(len(batches))] + [last]
    return np.concatenate(found)


def find_marks(part: Part, vocabulary: int) -> np.ndarray:
    """Return bool [T]: tokens that, sources of a language counting alike, are nearly all in one of them."""
    source, language = (
        part.facets.get(name, np.full(len(part), "")).astype(str) for name in ("source", "language")
    )
    marks = np.zeros(vocabulary, dtype=bool)
    for tongue in np.unique(language):
        inside = language == tongue
        names = [name for name in np.unique(source[inside]) if (inside & (source == name)).sum() >= 50]
        if len(names) < 2:
            continue
        counts = np.stack([_rows_with(part, inside & (source == name), vocabulary) for name in names])
        sizes = np.array([[(inside & (source == name)).sum()] for name in names])
        rates = counts / sizes
        alone = rates.max(axis=0) >= MARK_SHARE * np.maximum(rates.sum(axis=0), 1e-12)
        marks |= alone & (counts.sum(axis=0) >= MARK_ROWS)
    marks[: len(SPECIAL)] = False
    return marks


def _rows_with(part: Part, chosen: np.ndarray, vocabulary: int) -> np.ndarray:
    """Return [T], how many of the chosen rows hold each token."""
    tokens = np.sort(part.arrays["tokens"][chosen], axis=1)
    first = np.diff(tokens, axis=1, prepend=-1) > 0
    return np.bincount(tokens[first], minlength=vocabulary)
