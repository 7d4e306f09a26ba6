"""Columns of numbers and of names to the arrays of a tabular model.

The same function serves a training file and one request; a row's arrays do not depend on its neighbours.

Shapes: B rows, Fn numeric and Fc categorical features.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from tocsin.core.axes import Axes
from tocsin.core.errors import InputError
from tocsin.core.flat import FlatPart, flatten_parts
from tocsin.core.types import Arrays, Columns, Files, Place, rows
from tocsin.features.scaling import Scaler, Scaling, fit_scaler, restore_scaler

UNKNOWN, MISSING, HIDDEN, FIRST = 0, 1, 2, 3
"""Categorical codes: unknown, missing, hidden from the model, and the first known value."""

CHUNK = 512
"""Rows scaled at once: so many fit in the cache."""

SETTINGS, TENSORS = "encoder.json", "encoder.safetensors"


class TabularOptions(BaseModel):
    """How the features are encoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scaling: Scaling = Field("quantile", description="how numbers are scaled")
    quantiles: int = Field(1000, ge=2, le=100_000, description="quantile: ranks that are learned")
    min_count: int = Field(10, ge=1, description="a value seen less often in training is `unknown`")
    bins: int = Field(16, ge=2, le=256, description="bins between quantiles of the scaled training values")


class _Saved(BaseModel):
    """`encoder.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["tabular"] = "tabular"
    version: Literal[1] = 1
    options: TabularOptions
    numeric: tuple[str, ...]
    categorical: dict[str, tuple[str, ...]] = Field(
        description="feature -> values in the order of their codes"
    )


@dataclass(frozen=True)
class _Learned:
    scaler: Scaler
    values: tuple[tuple[str, ...], ...]
    """Per categorical feature, its values in the order of their codes."""
    bins: np.ndarray


class TabularEncoder:
    """Numbers and names -> `numeric`, `state`, `categorical`.

    `numeric` float32 [B, Fn] is scaled, 0 where absent. `state` int64 [B, Fn] is 0 present, 1 missing, 2
    hidden from the model. `categorical` int64 [B, Fc] is 0 unknown, 1 missing, 2 hidden, then the values from
    the most frequent on. NaN and infinities are missing.
    """

    axes: ClassVar[Axes] = {}

    def __init__(self, numeric: Sequence[str], categorical: Sequence[str], options: TabularOptions) -> None:
        self.numeric = tuple(numeric)
        self.categorical = tuple(categorical)
        self.options = options
        self._fitted: _Learned | None = None

    @property
    def _learned(self) -> _Learned:
        assert self._fitted is not None, "fit or load the encoder before it is used"
        return self._fitted

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Codes of each categorical feature: unknown, missing and hidden among them."""
        return tuple(FIRST + len(values) for values in self._learned.values)

    @property
    def bins(self) -> np.ndarray:
        """Rising edges, float32 [Fn, bins + 1], at even quantiles of the scaled training values.

        Quantiles that coincide are one edge, and the last edge is repeated in the place of those that fell
        away: a bin of no width is empty, and always at the end of its row.
        """
        return self._learned.bins

    def values(self, name: str) -> tuple[str, ...]:
        """Return the known values of a categorical feature; the first has code 3."""
        return self._learned.values[self.categorical.index(name)]

    def fit(self, columns: Columns) -> Self:
        """Learn scales, known values and bins from the training split only."""
        present = [columns[name][np.isfinite(columns[name])] for name in self.numeric]
        scaler = fit_scaler(self.options.scaling, present, self.options.quantiles)
        values = tuple(_frequent(columns[name], self.options.min_count) for name in self.categorical)
        self._remember(_Learned(scaler, values, np.zeros((len(self.numeric), self.options.bins + 1))))
        arrays = self.encode(columns)
        self._remember(_Learned(scaler, values, _edges(arrays, self.options.bins)))
        return self

    def _remember(self, learned: _Learned) -> None:
        self._fitted = learned
        self.__dict__.pop("_codes", None)

    @cached_property
    def _codes(self) -> list[dict[str | None, int]]:
        known = self._learned.values
        return [{None: MISSING} | {value: FIRST + i for i, value in enumerate(values)} for values in known]

    def encode(self, columns: Columns) -> Arrays:
        """Return `numeric`, `state` and `categorical`, row axis first."""
        count = rows(columns)
        if count > CHUNK:
            starts = range(0, count, CHUNK)
            parts = [self.encode({n: v[s : s + CHUNK] for n, v in columns.items()}) for s in starts]
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        x = np.array([columns[name] for name in self.numeric], dtype=np.float64)
        x = x.reshape(len(self.numeric), count)  # no features, or no rows
        present = np.isfinite(x)
        scaled = np.where(present, self._learned.scaler.scale(np.where(present, x, 0.0)), 0.0)
        named = zip(self.categorical, self._codes, strict=True)
        codes = [[table.get(value, UNKNOWN) for value in columns[name].tolist()] for name, table in named]
        return {
            "numeric": np.ascontiguousarray(scaled.T, dtype=np.float32),
            "state": np.ascontiguousarray((~present).T, dtype=np.int64),
            "categorical": np.ascontiguousarray(np.array(codes, dtype=np.int64).reshape(len(codes), count).T),
        }

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        """Return float32 [B, Fn + Fc] with NaN for missing, names, is-categorical; numbers keep order."""
        names = [*self.numeric, *self.categorical]
        flags = [False] * len(self.numeric) + [True] * len(self.categorical)
        return flatten_parts(self.flat_parts(), arrays), names, flags

    def flat_parts(self) -> tuple[FlatPart, ...]:
        """Return what `flatten` puts beside each other: a hidden number is missing, a hidden name is a code."""
        numbers = FlatPart("numeric", "state", (MISSING, HIDDEN))
        return numbers, FlatPart("categorical", "categorical", (MISSING,))

    def hide(self, _columns: Columns, arrays: Arrays) -> Iterator[tuple[Place, Arrays]]:
        """Yield (feature, arrays with it hidden), numbers first."""
        for i, name in enumerate(self.numeric):
            numeric, state = arrays["numeric"].copy(), arrays["state"].copy()
            numeric[:, i], state[:, i] = 0.0, HIDDEN
            yield Place(where=name), {**arrays, "numeric": numeric, "state": state}
        for i, name in enumerate(self.categorical):
            codes = arrays["categorical"].copy()
            codes[:, i] = HIDDEN
            yield Place(where=name), {**arrays, "categorical": codes}

    def watch(self, arrays: Arrays) -> Columns:
        """Return numbers that tell rows unlike those of training, float64 [B] each.

        Shares of a row's features: `missing`; `unknown`, of the names; `at_lowest` and `at_highest`, numbers at or
        beyond an end of the training range. And `level` and `spread` of its scaled numbers.
        """
        numeric, codes = arrays["numeric"].astype(np.float64), arrays["categorical"]
        present, first, last = arrays["state"] == 0, self.bins[:, 0], self.bins[:, -1]
        wide = first < last  # one value in training is no end
        absent = np.concatenate([~present, codes == MISSING], axis=1)
        shares = {
            "missing": absent,
            "unknown": codes == UNKNOWN,
            "at_lowest": present & ((numeric < first) | (wide & (numeric == first))),
            "at_highest": present & ((numeric > last) | (wide & (numeric == last))),
        }
        found = {name: _share(is_so) for name, is_so in shares.items()}
        count = max(numeric.shape[1], 1)
        level = numeric.sum(axis=1) / count
        square = np.square(numeric).sum(axis=1) / count
        return found | {"level": level, "spread": np.sqrt(np.maximum(square - np.square(level), 0))}

    def save(self) -> Files:
        """Return `encoder.json` and `encoder.safetensors`."""
        learned = self._learned
        saved = _Saved(
            options=self.options,
            numeric=self.numeric,
            categorical=dict(zip(self.categorical, learned.values, strict=True)),
        )
        # Order is meaning here: the features of the arrays come in the order of the dictionary.
        tensors = {"bins": learned.bins, **learned.scaler.tensors()}
        return {SETTINGS: saved.model_dump_json(indent=2).encode() + b"\n", TENSORS: save_tensors(tensors)}

    @classmethod
    def load(cls, files: Files) -> Self:
        """Rebuild a fitted encoder; InputError on files that `save` did not write."""
        if files.keys() != {SETTINGS, TENSORS}:
            raise InputError(
                f"an encoder is {SETTINGS} and {TENSORS}, not {', '.join(sorted(files)) or 'nothing'}"
            )
        try:
            saved = _Saved.model_validate_json(files[SETTINGS])
            encoder = cls(saved.numeric, tuple(saved.categorical), saved.options)
            encoder._remember(_restore(saved, load_tensors(files[TENSORS])))
        except ValidationError as error:
            raise InputError(f"{SETTINGS}: {error.errors()[0]['msg']}") from None
        except (SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{TENSORS}: {error}") from None
        return encoder


def _share(is_so_BF: np.ndarray) -> np.ndarray:
    share: np.ndarray = is_so_BF.sum(axis=1) / max(is_so_BF.shape[1], 1)
    return share


def _frequent(column: np.ndarray, min_count: int) -> tuple[str, ...]:
    counts = Counter(value for value in column.tolist() if value is not None)
    kept = sorted((-count, value) for value, count in counts.items() if count >= min_count)
    return tuple(value for _, value in kept)


def _edges(arrays: Arrays, bins: int) -> np.ndarray:
    edges = np.zeros((arrays["numeric"].shape[1], bins + 1), dtype=np.float32)
    for i, row in enumerate(edges):
        present = arrays["numeric"][arrays["state"][:, i] == 0, i]
        found = np.unique(np.quantile(present, np.linspace(0, 1, bins + 1))) if present.size else np.zeros(1)
        row[:] = np.pad(found, (0, bins + 1 - len(found)), mode="edge")
    return edges


def _restore(saved: _Saved, tensors: Mapping[str, np.ndarray]) -> _Learned:
    """Check every tensor against the settings; ValueError or KeyError says what is wrong."""
    names = [*saved.numeric, *saved.categorical]
    if len(set(names)) != len(names) or any(len(set(v)) != len(v) for v in saved.categorical.values()):
        raise ValueError("a name is there twice")
    for name, tensor in tensors.items():
        if tensor.dtype != (np.float32 if name == "bins" else np.float64) or not np.isfinite(tensor).all():
            raise ValueError(f"{name} must be finite and of its own type")
        if tensor.shape[:1] != (len(saved.numeric),):
            raise ValueError(f"{name} has the shape {tensor.shape}, not {len(saved.numeric)} features")
    scaler = restore_scaler(saved.options.scaling, tensors)
    expected = {"bins", *scaler.tensors()}
    if tensors.keys() != expected:
        raise ValueError(f"tensors are {sorted(tensors)}, not {sorted(expected)}")
    bins = tensors["bins"]
    if bins.shape != (len(saved.numeric), saved.options.bins + 1) or (np.diff(bins) < 0).any():
        raise ValueError("bins must rise")
    return _Learned(scaler, tuple(saved.categorical.values()), bins)
