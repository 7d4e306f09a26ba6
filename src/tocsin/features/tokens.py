"""Text as tokens: named fields are read one after the other, as one row of tokens.

Shapes: B rows, L places for tokens, F fields.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Encoding, Tokenizer

from tocsin.core.axes import Axes, Axis
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays, Columns, Files, Place
from tocsin.features.excerpt import keep_ends, share_places
from tocsin.features.passages import hide_passages
from tocsin.features.tokenizer import (
    AS_WRITTEN,
    TOKENIZER,
    Words,
    count_tokens,
    frame_of,
    learn_tokenizer,
    mask_of,
    open_pretrained,
    parse_tokenizer,
    pieces_of,
    special_tokens,
    write_tokenizer,
)

SETTINGS = "tokens.json"
PLACES = Axis("places", length="length")
NOWHERE = (0, 0)
"""The offsets of a token that is no part of a text."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_Cut = tuple[str, Encoding]
"""A text and its tokens."""


class TokenOptions(BaseModel):
    """What an encoder of tokens can be asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: tuple[str, ...] = Field(min_length=1, max_length=4)
    """Columns of text, in the order in which they are read."""
    tokens: int = Field(256, ge=16, le=4096)
    """L, the frame of each field included. What is too long keeps its beginning and its end."""
    vocabulary: int = Field(16_000, ge=300, le=200_000)
    pretrained: str | None = None
    """Folder or hub id whose tokenizer is taken as it is; None learns one."""
    segments: bool = False
    """Say of each token which field it is from."""
    offsets: bool = False
    """Say of each token which characters of its field it is."""
    words: Words = AS_WRITTEN
    """How texts are cut where a tokenizer is learned."""


class TokenEncoder:
    """Named columns of text -> `tokens`, their `length`, and where they come from. A missing text is an empty one.

    Example:
        encoder = TokenEncoder(TokenOptions(fields=("text", "criterion"), offsets=True)).fit(columns)
        arrays = encoder.encode(columns)                  # {"tokens": [B, L], "length": [B], "offsets": [B, L, 2]}
        start, stop = arrays["offsets"][0, 7].tolist()    # characters of the field that token 7 is from

    """

    def __init__(self, options: TokenOptions, tokenizer: Tokenizer | None = None) -> None:
        self.options = options
        self.axes: Axes = {"tokens": (PLACES,)}
        if options.segments:
            self.axes |= {"segments": (PLACES,)}
        if options.offsets:
            self.axes |= {"offsets": (PLACES, 2)}
        self._read(tokenizer or learn_tokenizer((), 0, options.words))

    def _read(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.hidden, self.size = tokenizer, mask_of(tokenizer), count_tokens(tokenizer)
        self._special, self._frame = special_tokens(tokenizer), frame_of(tokenizer)

    def fit(self, columns: Columns) -> Self:
        """Learn the tokens, unless they are pretrained.

        Errors: InputError where there is no such pretrained tokenizer.
        """
        options = self.options
        if options.pretrained is not None:
            self._read(open_pretrained(options.pretrained))
        else:
            texts = (text for name in options.fields for text in _read(columns[name]))
            self._read(learn_tokenizer(texts, options.vocabulary, options.words))
        return self

    def encode(self, columns: Columns) -> Arrays:
        """Return `tokens` int64 [B, L], 0 behind the end, and `length` int64 [B], of at least 1.

        Where the options ask for them, `segments` int64 [B, L], the number of the field from 0, and `offsets`
        int64 [B, L, 2], start and stop in its characters; both 0 for what frames a field: (0, 0) is no character.
        """
        options = self.options
        fields = [self._split(_read(columns[name])) for name in options.fields]
        laid = [self._lay(parts) for parts in zip(*fields, strict=True)]
        shape = (len(laid), options.tokens)
        found = {"tokens": np.zeros(shape, dtype=np.int64)}
        found["length"] = np.array([len(row["tokens"]) for row in laid], dtype=np.int64)
        if options.segments:
            found["segments"] = np.zeros(shape, dtype=np.int64)
        if options.offsets:
            found["offsets"] = np.zeros((*shape, 2), dtype=np.int64)
        for row, lists in enumerate(laid):
            for name, values in lists.items():
                found[name][row, : len(values)] = values
        return found

    def _split(self, texts: list[str]) -> list[_Cut]:
        """Cut the texts of one field into tokens, without a frame."""
        encode = self.tokenizer.encode_batch if self.options.offsets else self.tokenizer.encode_batch_fast
        return list(zip(texts, encode(texts, add_special_tokens=False), strict=True))

    def _lay(self, parts: Sequence[_Cut]) -> dict[str, list[Any]]:
        """Put the fields of a row after one another; return what each array holds, up to the row's end."""
        frame, options = self._frame, self.options
        sizes = [len(encoding) for _, encoding in parts]
        shares = share_places(sizes, options.tokens - frame.count(len(parts)))
        found: dict[str, list[Any]] = {"tokens": []}
        for field, ((text, encoding), most) in enumerate(zip(parts, shares, strict=True)):
            before, ids = frame.later if field else frame.first, keep_ends(encoding.ids, most)
            found["tokens"] += [*before, *self._unspecial(ids), *frame.behind]
            if options.segments:
                size = len(before) + len(ids) + len(frame.behind)
                found["segments"] = found.get("segments", []) + [field] * size
            if options.offsets:
                spans = [_trim(text, *span) for span in keep_ends(encoding.offsets, most)]
                framed = [NOWHERE] * len(before) + spans + [NOWHERE] * len(frame.behind)
                found["offsets"] = found.get("offsets", []) + framed
        return found

    def _unspecial(self, ids: list[int]) -> list[int]:
        """Hide special tokens: nobody may write one."""
        if self._special.isdisjoint(ids):
            return ids
        return [self.hidden if token in self._special else token for token in ids]

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        """Return the number of tokens: all that a model sees without reading."""
        return arrays["length"][:, None].astype(np.float32), ["tokens"], [False]

    def texts(self, columns: Columns) -> list[str]:
        """Return the fields of each row as one text, a line each, as they were written."""
        fields = (columns[name] for name in self.options.fields)
        return ["\n".join(filter(None, parts)) for parts in zip(*fields, strict=True)]

    def hide(self, columns: Columns, _arrays: Arrays) -> Iterator[tuple[Place, Arrays]]:
        """Yield (passage of a field, arrays without it) for the passages of one row."""
        return hide_passages(self.encode, columns, self.options.fields)

    def watch(self, arrays: Arrays) -> Columns:
        """Return numbers that tell rows unlike those of training, float64 [B] each.

        `tokens`, how many; `full`, 1 where no place is left: a text was cut off, or just fits; `pieces`, the share
        of tokens that are one byte or unknown, as of words that are new.
        """
        length = arrays["length"].astype(np.float64)
        pieces = np.isin(arrays["tokens"], pieces_of(self.tokenizer))
        inside = np.arange(pieces.shape[1]) < length[:, None]
        return {
            "tokens": length,
            "full": (length >= self.options.tokens).astype(np.float64),
            "pieces": (pieces & inside).sum(axis=1) / length,
        }

    def save(self) -> Files:
        """Return the options as one JSON file, the tokenizer as another."""
        return {
            SETTINGS: self.options.model_dump_json().encode() + b"\n",
            TOKENIZER: write_tokenizer(self.tokenizer),
        }

    @classmethod
    def load(cls, files: Files) -> Self:
        """Rebuild a fitted encoder; InputError on files that `save` did not write."""
        if files.keys() != {SETTINGS, TOKENIZER}:
            known = ", ".join(sorted(files)) or "nothing"
            raise InputError(f"an encoder of tokens is {SETTINGS} and {TOKENIZER}, not {known}")
        try:
            options = TokenOptions.model_validate_json(files[SETTINGS])
        except ValidationError as error:
            raise InputError(f"{SETTINGS}: {error.errors()[0]['msg']}") from None
        return cls(options, parse_tokenizer(files[TOKENIZER]))


def _read(values: np.ndarray) -> list[str]:
    """Return texts of the same sizes that UTF-8 can hold: JSON may bring half a pair of surrogates."""
    return [_SURROGATE.sub("\ufffd", text or "") for text in values]


def _trim(text: str, start: int, stop: int) -> tuple[int, int]:
    """Leave out the space that a token begins with."""
    token = text[start:stop]
    return start + len(token) - len(token.lstrip()), stop
