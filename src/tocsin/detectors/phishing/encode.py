"""The encoder of messages: folded, cut into tokens, beside their letters, cues, and the shape of the message.

Subject and text are read as one, the subject in a line of its own before the text: in collections it stands there.

Shapes: B rows, L places for tokens, S numbers of the shape, K kinds of cues, C places for letters.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer

from tocsin.core.axes import Axes, Axis
from tocsin.core.errors import InputError
from tocsin.core.flat import FlatPart, flatten_parts
from tocsin.core.schema import Schema
from tocsin.core.types import Arrays, Columns, Files, Place, column, rows
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.features.cues import CUES, mark_cues
from tocsin.detectors.phishing.features.folding import (
    LINKS,
    MARKS,
    fold,
    shorten_shown,
    strip_invisible,
    strip_markup,
)
from tocsin.detectors.phishing.features.letters import LETTER_COUNT, LETTERS, mark_letters
from tocsin.detectors.phishing.features.shape import SHAPE, measure_shape
from tocsin.features.passages import hide_passages
from tocsin.features.tokenizer import TOKENIZER, Words, parse_tokenizer
from tocsin.features.tokens import TokenEncoder, TokenOptions

SETTINGS = "text.json"
MESSAGE = "message"
"""The column that tokens are made of: subject and text as one."""
CHARACTERS_PER_TOKEN = 8
FOLDED = Words(digits="0", marks=MARKS)
"""The words of a folded text."""


class MessageOptions(BaseModel):
    """What an encoder of messages can be asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(256, ge=16, le=4096)
    vocabulary: int = Field(16_000, ge=300, le=200_000)
    letters: int = Field(1024, ge=0, le=8192)
    """0 leaves the array out."""
    pretrained: str | None = None
    """Folder or hub id whose tokenizer is taken as it is, for texts that are not folded; None learns one."""


class _Saved(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    options: MessageOptions
    mean: tuple[float, ...] = Field(min_length=len(SHAPE), max_length=len(SHAPE))
    scale: tuple[float, ...] = Field(min_length=len(SHAPE), max_length=len(SHAPE))


class MessageEncoder:
    """Columns `text`, and where they are there `subject` and `channel`, -> the arrays of a message.

    `channel` only says whether the whole text is one link, whose letters are then kept.
    """

    def __init__(self, options: MessageOptions | None = None, tokenizer: Tokenizer | None = None) -> None:
        self.options = options or MessageOptions()
        self._tokens = TokenEncoder(
            TokenOptions(
                fields=(MESSAGE,),
                tokens=self.options.tokens,
                vocabulary=self.options.vocabulary,
                pretrained=self.options.pretrained,
                words=FOLDED,
            ),
            tokenizer,
        )
        self.axes: Axes = dict(self._tokens.axes)
        if self.options.letters:
            self.axes |= {LETTERS: (Axis("characters", LETTER_COUNT),)}
        self._mean, self._scale = np.zeros(len(SHAPE)), np.ones(len(SHAPE))

    @property
    def tokenizer(self) -> Tokenizer:
        """What cuts a text into tokens."""
        return self._tokens.tokenizer

    @property
    def hidden(self) -> int:
        """The token that stands for what is hidden."""
        return self._tokens.hidden

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self._tokens.size

    def fit(self, columns: Columns) -> Self:
        """Learn the tokens, unless they are pretrained, and the spread of the shape.

        Errors: InputError where there is no such pretrained tokenizer.
        """
        self._tokens.fit(self._read(columns, [self._fold(*message) for message in _messages(columns)]))
        shape = np.array([measure_shape(text) for text, _ in _messages(columns)])
        self._mean, self._scale = shape.mean(axis=0), shape.std(axis=0) + 1e-6
        return self

    def encode(self, columns: Columns) -> Arrays:
        """Return `tokens` int64 [B, L], 0 behind the end; `length` int64 [B]; `shape` float32 [B, S].

        And `cues` int32 [B, K], and unless the options leave them out, `letters` int32 [B, C] with their number,
        `letter_count` int64 [B].
        """
        folded = [self._fold(*message) for message in _messages(columns)]
        found = self._tokens.encode(self._read(columns, folded))
        found |= {"shape": self.shape(columns), CUES: mark_cues(folded)}
        if not self.options.letters:
            return found
        letters, count = mark_letters(folded, self.options.letters)
        return found | {LETTERS: letters, LETTER_COUNT: count}

    def shape(self, columns: Columns) -> np.ndarray:
        """Return what the message looks like, float32 [B, S], about 0 with a spread of 1."""
        found = [measure_shape(text) for text, _ in _messages(columns)]
        scaled = (np.array(found).reshape(-1, len(SHAPE)) - self._mean) / self._scale
        return np.clip(scaled, -5, 5).astype(np.float32)

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        """Return the shape: what simple models see without reading."""
        return flatten_parts(self.flat_parts(), arrays), list(SHAPE), [False] * len(SHAPE)

    def flat_parts(self) -> tuple[FlatPart, ...]:
        """Return the shape, of which nothing is ever missing."""
        return (FlatPart("shape", "shape", ()),)

    def texts(self, columns: Columns) -> list[str]:
        """Return subject and text of each row as one text, as it was written: for baselines that read."""
        return [text for text, _ in _messages(columns)]

    def hide(self, columns: Columns, _arrays: Arrays) -> Iterator[tuple[Place, Arrays]]:
        """Yield (passage of subject or text, arrays without it) for one row; a link is a passage of its own."""
        return hide_passages(self.encode, columns, ("subject", "text"), alone=LINKS)

    def watch(self, arrays: Arrays) -> Columns:
        """Return what `TokenEncoder.watch` does, the shape, and `cues`, how many kinds there are: float64 [B] each."""
        shape = dict(zip(SHAPE, arrays["shape"].T.astype(np.float64), strict=True))
        found = {f"shape.{name}": values for name, values in shape.items()}
        return {**found, **self._tokens.watch(arrays), "cues": arrays[CUES].sum(axis=1, dtype=np.float64)}

    def save(self) -> Files:
        """Return the settings and the spread as one JSON file, the tokenizer as another."""
        saved = _Saved(
            options=self.options, mean=tuple(self._mean.tolist()), scale=tuple(self._scale.tolist())
        )
        return {
            SETTINGS: saved.model_dump_json().encode() + b"\n",
            TOKENIZER: self._tokens.save()[TOKENIZER],
        }

    @classmethod
    def load(cls, files: Files) -> Self:
        """Rebuild a fitted encoder; InputError on files that `save` did not write."""
        if files.keys() != {SETTINGS, TOKENIZER}:
            known = ", ".join(sorted(files)) or "nothing"
            raise InputError(f"an encoder of messages is {SETTINGS} and {TOKENIZER}, not {known}")
        try:
            saved = _Saved.model_validate_json(files[SETTINGS])
        except ValidationError as error:
            raise InputError(f"{SETTINGS}: {error.errors()[0]['msg']}") from None
        if min(saved.scale) <= 0:
            raise InputError(f"{SETTINGS}: a spread is not above 0")
        encoder = cls(saved.options, parse_tokenizer(files[TOKENIZER]))
        encoder._mean, encoder._scale = np.array(saved.mean), np.array(saved.scale)
        return encoder

    def _read(self, columns: Columns, folded: list[str]) -> Columns:
        """Return the column that tokens are made of: folded, or as a pretrained tokenizer wants it."""
        if self.options.pretrained is None:
            return {MESSAGE: column(folded, numeric=False)}
        return {MESSAGE: column([self._clean(text) for text, _ in _messages(columns)], numeric=False)}

    def _fold(self, text: str, links: bool) -> str:
        return fold(shorten_shown(text, CHARACTERS_PER_TOKEN * self.options.tokens), links)

    def _clean(self, text: str) -> str:
        return shorten_shown(strip_markup(strip_invisible(text)), CHARACTERS_PER_TOKEN * self.options.tokens)


def make_encoder(config: BaseModel, _schema: Schema) -> MessageEncoder:
    """Return the encoder that the `model:` section asks for, not fitted yet."""
    assert isinstance(config, PhishingConfig)
    return MessageEncoder(
        MessageOptions(
            tokens=config.tokens,
            vocabulary=config.vocabulary,
            letters=config.letters,
            pretrained=config.pretrained,
        )
    )


def _messages(columns: Columns) -> Iterator[tuple[str, bool]]:
    """Yield (subject and text as one, whether links are shapes) of every row."""
    nothing = [None] * rows(columns)
    parts: list[Any] = [columns.get(name, nothing) for name in ("subject", "text", "channel")]
    for subject, text, channel in zip(*parts, strict=True):
        yield "\n".join(filter(None, (subject, text))), channel != "url"
