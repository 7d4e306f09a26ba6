"""Messages as arrays: tokens of subject and text, their number, letters, and the shape of the message as numbers.

Subject and text are read as one, the subject in a line of its own before the text: in collections it stands there.

Shapes: B rows, L places for tokens, S numbers of the shape, K kinds of cues, C places for letters.
"""

import re
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer

from tocsin.core.axes import Axes, Axis
from tocsin.core.errors import InputError
from tocsin.core.flat import FlatPart, flatten_parts
from tocsin.core.types import Arrays, Columns, Files, Place, rows
from tocsin.features.cues import CUES, mark_cues
from tocsin.features.folding import ADDRESSES, HEAD, LINKS, fold, shorten, strip_invisible, strip_markup
from tocsin.features.letters import LETTER_COUNT, LETTERS, mark_letters
from tocsin.features.tokenizer import (
    TOKENIZER,
    count_tokens,
    learn_tokenizer,
    mask_of,
    open_pretrained,
    parse_tokenizer,
    pieces_of,
    special_tokens,
    write_tokenizer,
)

SETTINGS = "text.json"
CHARACTERS_PER_TOKEN = 8
PASSAGE_WORDS, PASSAGES = 8, 40
"""Words of a passage, and how many passages evidence is looked for in."""
SHAPE = (
    "characters", "links", "addresses", "digits", "longest_number", "capitals", "exclamations", "questions",
    "currency", "lines", "not_ascii", "other_signs", "mean_word",
)  # fmt: skip
"""The numbers of `shape`, counts as log(1 + n), shares of the characters in [0, 1]."""

_SEGMENT = re.compile(r"[^\s]+")
_END = re.compile(r"[.!?;:。！？।؟\n]")
_OTHER = re.compile(r"[^\w\s]|_")
_NUMBER = re.compile(r"\d[\d .,/-]*")


class TextOptions(BaseModel):
    """What a text encoder can be asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(256, ge=16, le=4096)
    vocabulary: int = Field(16_000, ge=300, le=200_000)
    letters: int = Field(1024, ge=0, le=8192)
    """0 leaves the array out."""
    pretrained: str | None = None
    """Folder or hub id whose tokenizer is taken as it is, for texts that are not folded; None learns one."""


class _Saved(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    options: TextOptions
    mean: tuple[float, ...] = Field(min_length=len(SHAPE), max_length=len(SHAPE))
    scale: tuple[float, ...] = Field(min_length=len(SHAPE), max_length=len(SHAPE))


class TextEncoder:
    """Columns `text`, and where they are there `subject` and `channel`, -> the arrays of a message.

    `channel` only says whether the whole text is one link, whose letters are then kept.
    """

    def __init__(self, options: TextOptions | None = None) -> None:
        self.options = options or TextOptions()
        self.axes: Axes = {"tokens": (Axis("places", "length"),)}
        if self.options.letters:
            self.axes |= {LETTERS: (Axis("characters", LETTER_COUNT),)}
        self._read(learn_tokenizer((), 0))
        self._mean, self._scale = np.zeros(len(SHAPE)), np.ones(len(SHAPE))

    def _read(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.hidden = tokenizer, mask_of(tokenizer)
        self.size, self._special = count_tokens(tokenizer), special_tokens(tokenizer)
        frame = tokenizer.encode("").ids
        self._start, self._end = frame[:1], frame[1:]

    def fit(self, columns: Columns) -> Self:
        """Learn the tokens, unless they are pretrained, and the spread of the shape.

        Errors: InputError where there is no such pretrained tokenizer.
        """
        messages, options = list(_messages(columns)), self.options
        if options.pretrained is None:
            self._read(learn_tokenizer((self._fold(*message) for message in messages), options.vocabulary))
        else:
            self._read(open_pretrained(options.pretrained))
        shape = np.array([measure_shape(text) for text, _ in messages])
        self._mean, self._scale = shape.mean(axis=0), shape.std(axis=0) + 1e-6
        return self

    def encode(self, columns: Columns) -> Arrays:
        """Return `tokens` int64 [B, L], 0 behind the end; `length` int64 [B]; `shape` float32 [B, S].

        And `cues` int32 [B, K], and unless the options leave them out, `letters` int32 [B, C] with their number,
        `letter_count` int64 [B].
        """
        messages = list(_messages(columns))
        folded = [self._fold(*message) for message in messages]
        cut = self._cut(folded if self.options.pretrained is None else [self._clean(t) for t, _ in messages])
        tokens = np.zeros((len(cut), self.options.tokens), dtype=np.int64)
        for row, ids in enumerate(cut):
            tokens[row, : len(ids)] = ids
        length = np.array([len(ids) for ids in cut], dtype=np.int64)
        found = {
            "tokens": tokens,
            "length": length,
            "shape": self.shape(columns),
            CUES: mark_cues(folded),
        }
        if not self.options.letters:
            return found
        letters, count = mark_letters(folded, self.options.letters)
        return found | {LETTERS: letters, LETTER_COUNT: count}

    def shape(self, columns: Columns) -> np.ndarray:
        """Return what the message looks like, float32 [B, S], about 0 with a spread of 1."""
        found = [measure_shape(text) for text, _ in _messages(columns)]
        scaled = (np.array(found).reshape(-1, len(SHAPE)) - self._mean) / self._scale
        return np.clip(scaled, -5, 5).astype(np.float32)

    def _cut(self, texts: list[str]) -> list[list[int]]:
        """Return 1 to L ids of each text: the beginning and the end of what is too long, in the tokenizer's frame."""
        room = self.options.tokens - len(self._start) - len(self._end)
        head, found = int(HEAD * room), []
        for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            ids = encoding.ids
            if len(ids) > room:
                ids = ids[:head] + ids[len(ids) - (room - head) :]
            if not self._special.isdisjoint(ids):
                ids = [self.hidden if token in self._special else token for token in ids]
            found.append([*self._start, *ids, *self._end])
        return found

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
        """Yield (passage of subject or text, arrays without it) for the passages of one row."""
        fields = [name for name in ("subject", "text") if name in columns and columns[name][0]]
        spans = [(name, *span) for name in fields for span in passages(columns[name][0])][:PASSAGES]
        if not spans:
            return
        copies = {name: np.repeat(values, len(spans)) for name, values in columns.items()}
        for row, (name, start, stop) in enumerate(spans):
            value = columns[name][0]
            copies[name][row] = value[:start] + " " + value[stop:]
        arrays = self.encode(copies)
        for row, (name, start, stop) in enumerate(spans):
            place = Place(where=name, start=start, stop=stop)
            yield place, {key: values[row : row + 1] for key, values in arrays.items()}

    def watch(self, arrays: Arrays) -> Columns:
        """Return numbers that tell messages unlike those of training, float64 [B] each, and the shape.

        `tokens`, how many; `full`, 1 where no place is left: the text was cut off, or just fits; `pieces`, the share
        of tokens that are one byte or unknown, as of words that are new; `cues`, how many kinds there are.
        """
        length = arrays["length"].astype(np.float64)
        pieces = np.isin(arrays["tokens"], pieces_of(self.tokenizer))
        inside = np.arange(pieces.shape[1]) < length[:, None]
        shape = dict(zip(SHAPE, arrays["shape"].T.astype(np.float64), strict=True))
        return {f"shape.{name}": values for name, values in shape.items()} | {
            "tokens": length,
            "full": (length >= self.options.tokens).astype(np.float64),
            "pieces": (pieces & inside).sum(axis=1) / length,
            "cues": arrays[CUES].sum(axis=1, dtype=np.float64),
        }

    def save(self) -> Files:
        """Return the settings and the spread as one JSON file, the tokenizer as another."""
        saved = _Saved(
            options=self.options, mean=tuple(self._mean.tolist()), scale=tuple(self._scale.tolist())
        )
        return {
            SETTINGS: saved.model_dump_json().encode() + b"\n",
            TOKENIZER: write_tokenizer(self.tokenizer),
        }

    @classmethod
    def load(cls, files: Files) -> Self:
        """Rebuild a fitted encoder; InputError on files that `save` did not write."""
        if files.keys() != {SETTINGS, TOKENIZER}:
            raise InputError(
                f"a text encoder is {SETTINGS} and {TOKENIZER}, not {', '.join(sorted(files)) or 'nothing'}"
            )
        try:
            saved = _Saved.model_validate_json(files[SETTINGS])
        except ValidationError as error:
            raise InputError(f"{SETTINGS}: {error.errors()[0]['msg']}") from None
        if min(saved.scale) <= 0:
            raise InputError(f"{SETTINGS}: a spread is not above 0")
        encoder = cls(saved.options)
        encoder._read(parse_tokenizer(files[TOKENIZER]))
        encoder._mean, encoder._scale = np.array(saved.mean), np.array(saved.scale)
        return encoder

    def _fold(self, text: str, links: bool) -> str:
        return fold(_shorten(text, CHARACTERS_PER_TOKEN * self.options.tokens), links)

    def _clean(self, text: str) -> str:
        return _shorten(strip_markup(strip_invisible(text)), CHARACTERS_PER_TOKEN * self.options.tokens)


def passages(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) in characters: links alone, else up to 8 words, not beyond the end of a sentence."""
    start, stop, count = 0, 0, 0
    for word in _words(text):
        alone = LINKS.fullmatch(text, *word) is not None
        if count and (alone or count >= PASSAGE_WORDS):
            yield start, stop
            count = 0
        start = start if count else word[0]
        stop, count = word[1], count + 1
        if alone or _END.search(text[stop - 1 : stop + 1]):
            yield start, stop
            count = 0
    if count:
        yield start, stop


def _words(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of words; runs without a space, as in Chinese, are cut every 12 characters."""
    for match in _SEGMENT.finditer(text):
        long = match.end() - match.start() > 40 and LINKS.fullmatch(match[0]) is None
        step = 12 if long or not match[0].isascii() else match.end() - match.start()
        for start in range(match.start(), match.end(), step):
            yield start, min(start + step, match.end())


def _messages(columns: Columns) -> Iterator[tuple[str, bool]]:
    """Yield (subject and text as one, whether links are shapes) of every row."""
    nothing = [None] * rows(columns)
    parts: list[Any] = [columns.get(name, nothing) for name in ("subject", "text", "channel")]
    for subject, text, channel in zip(*parts, strict=True):
        yield "\n".join(filter(None, (subject, text))), channel != "url"


def _shorten(text: str, most: int) -> str:
    """Keep the beginning and the end of a text too long; what is invisible does not count."""
    return text if len(text) <= most else shorten(strip_markup(strip_invisible(text)), most)


def measure_shape(text: str) -> tuple[float, ...]:
    """Return the numbers of SHAPE, not scaled."""
    text = _shorten(text, 8192)
    links, numbers = LINKS.findall(text), _NUMBER.findall(text)
    size = max(1, len(text))
    letters = max(1, sum(map(str.isalpha, text)))
    counts = (len(text), len(links), len(ADDRESSES.findall(text)) if "@" in text else 0)
    signs = (text.count("!") + text.count("！"), text.count("?") + text.count("？"))
    money = sum(text.count(sign) for sign in "$£€¥₦₹%")
    log = np.log1p(
        [
            *counts,
            max(map(len, numbers), default=0),
            *signs,
            money,
            text.count("\n"),
            size / (text.count(" ") + 1),
        ]
    ).tolist()
    return (
        *log[:3],
        sum(map(str.isdigit, text)) / size,
        log[3],
        sum(map(str.isupper, text)) / letters,
        *log[4:8],
        0.0 if text.isascii() else 1 - sum(map(str.isascii, text)) / size,
        len(_OTHER.findall(text)) / size,
        log[8],
    )
