"""What a column looked like: numbers that say it without a row of it.

Shapes: N rows.
"""

import re
from collections import Counter
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field

from tocsin.core.types import Frozen, holds_text
from tocsin.data.texts import is_free_text

CUTS = 20
TOP_VALUES = 50
VARIED = 0.5
"""Share of distinct values from which short texts, too, are what people wrote: titles, names of persons."""
LOOKED_AT = 10_000
"""Free texts whose letters are counted, and sequences whose numbers are measured, drawn evenly."""
SCRIPTS = MappingProxyType(
    {
        name: re.compile(f"[{letters}]")
        for name, letters in {
            "latin": "A-Za-z\u00c0-\u024f",
            "greek": "\u0370-\u03ff",
            "cyrillic": "\u0400-\u052f",
            "hebrew": "\u0590-\u05ff",
            "arabic": "\u0600-\u06ff\u0750-\u077f",
            "indic": "\u0900-\u0dff",
            "thai": "\u0e00-\u0e7f",
            "hangul": "\u1100-\u11ff\uac00-\ud7af",
            "kana": "\u3040-\u30ff",
            "han": "\u3400-\u9fff",
        }.items()
    }
)
_SHAPE = MappingProxyType(
    {
        "digits": re.compile(r"\d"),
        "capitals": re.compile(r"[A-Z\u00c0-\u00de\u0410-\u042f]"),
        "signs": re.compile(r"[^\w\s]"),
        "lines": re.compile(r"\n"),
    }
)

Quantiles = tuple[float, ...]
"""The 21 quantiles at 0, 5, ... 100 %, or none where nothing was measured."""
Share = Annotated[float, Field(ge=0, le=1)]


class Described(Frozen):
    """A part of the profile: its numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class NumberColumn(Described):
    """A column of numbers; infinities count as missing, since encoders read them so."""

    kind: Literal["number"] = "number"
    count: int
    missing: Share
    mean: float | None
    std: float | None
    quantiles: Quantiles


class TextColumn(Described):
    """A column of names or codes: its frequent values are named."""

    kind: Literal["text"] = "text"
    count: int
    missing: Share
    distinct: int
    top: dict[str, Share] = Field(description="value -> share of the rows that have one")
    other: float = Field(description="share of all values that are not named")


class FreeTextColumn(Described):
    """A column of texts that people wrote. No word of it is kept, since it is private."""

    kind: Literal["free text"] = "free text"
    count: int
    missing: Share
    distinct: int
    characters: Quantiles
    words: Quantiles
    scripts: dict[str, Share] = Field(description="script -> share of the letters")
    per_hundred_characters: dict[str, float]


class SequenceColumn(Described):
    """A column of sequences: their lengths, and all their numbers together. Their texts are not kept."""

    kind: Literal["sequence"] = "sequence"
    count: int
    missing: Share
    lengths: Quantiles
    numbers: NumberColumn | None = Field(description="None where they hold no numbers")


Column = Annotated[NumberColumn | TextColumn | FreeTextColumn | SequenceColumn, Field(discriminator="kind")]


def describe_column(values: np.ndarray) -> NumberColumn | TextColumn | FreeTextColumn | SequenceColumn:
    """Describe one column [N] by what it holds."""
    if values.dtype != object:
        return describe_numbers(values)
    present = [value for value in values.tolist() if value is not None]
    if present and not holds_text(values):
        return _describe_sequences(values, present)
    counts = Counter(present)
    varied = len(counts) > max(TOP_VALUES, VARIED * counts.total())
    return _describe_free(values) if varied or is_free_text(values) else _describe_text(values, counts)


def describe_numbers(values: np.ndarray) -> NumberColumn:
    """Describe numbers [N]; what is not finite is missing."""
    values = values.astype(np.float64, copy=False)
    present = values[np.isfinite(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = (present.mean(), present.std()) if len(present) else (np.nan, np.nan)
    return NumberColumn(
        count=len(values),
        missing=1 - len(present) / max(len(values), 1),
        mean=_finite(mean),
        std=_finite(std),
        quantiles=quantiles(present),
    )


def quantiles(values: np.ndarray) -> Quantiles:
    """Return the quantiles of finite values [N]; none of none."""
    if not len(values):
        return ()
    cuts = np.linspace(0, 1, CUTS + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.quantile(values, cuts)
    if not np.isfinite(found).all():  # the distance between two values is no finite number
        found = np.quantile(values, cuts, method="nearest")
    return tuple(found.tolist())


def as_name(value: str) -> str:
    """Return a value as UTF-8 can hold it: names of files may have other characters."""
    return value.encode(errors="backslashreplace").decode()


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _describe_sequences(values: np.ndarray, present: list[Any]) -> SequenceColumn:
    drawn = present[:: max(1, len(present) // LOOKED_AT)]
    numbers = [item for value in drawn for item in value if isinstance(item, int | float)]
    return SequenceColumn(
        count=len(values),
        missing=1 - len(present) / max(len(values), 1),
        lengths=quantiles(np.array([len(value) for value in present])),
        numbers=describe_numbers(np.array(numbers, dtype=np.float64)) if numbers else None,
    )


def _describe_free(values: np.ndarray) -> FreeTextColumn:
    """Describe free text: lengths, scripts of its letters, signs per hundred characters."""
    present = [value for value in values.tolist() if value]
    step = max(1, len(present) // LOOKED_AT)
    drawn = "\n".join(present[::step])
    letters = {name: len(pattern.findall(drawn)) for name, pattern in SCRIPTS.items()}
    total, size = max(sum(letters.values()), 1), max(len(drawn), 1)
    return FreeTextColumn(
        count=len(values),
        missing=1 - len(present) / max(len(values), 1),
        distinct=len(set(present)),
        characters=quantiles(np.array([len(value) for value in present])),
        words=quantiles(np.array([len(value.split()) for value in present])),
        scripts={name: count / total for name, count in letters.items() if count},
        per_hundred_characters={n: 100 * len(p.findall(drawn)) / size for n, p in _SHAPE.items()},
    )


def _describe_text(values: np.ndarray, counts: "Counter[str]") -> TextColumn:
    present, top = counts.total(), sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_VALUES]
    return TextColumn(
        count=len(values),
        missing=1 - present / max(len(values), 1),
        distinct=len(counts),
        top={as_name(value): count / present for value, count in top},
        other=1 - sum(count for _, count in top) / present if present else 0.0,
    )
