"""Rows as baselines read them, and the one door through which every baseline is fitted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tocsin.core.baseline import Baseline, Examples, Inputs, fit_baseline
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays


class Counting:
    """An encoder that counts how often it flattens."""

    def __init__(self) -> None:
        self.calls = 0

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        self.calls += 1
        return arrays["x"], ["x"], [False]


@dataclass(frozen=True)
class Mean:
    """The mean of a column, for every row."""

    value: float
    description: str = "a mean"

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.full(len(inputs), self.value)


def fit_mean(train: Examples, _valid: Examples, _seed: int) -> Mean:
    return Mean(float(train.flat[0].mean()))


def rows(label: list[int]) -> tuple[Counting, Examples]:
    encoder: Any = Counting()
    values = np.arange(len(label), dtype=np.float32)[:, None]
    return encoder, Examples(encoder, {"x": values}, label=np.array(label))


def test_each_form_is_made_once_and_only_when_it_is_asked_for() -> None:
    encoder, examples = rows([0, 1, 1])
    assert len(examples) == 3
    assert encoder.calls == 0
    assert examples.flat is examples.flat
    assert encoder.calls == 1


def test_what_is_made_of_rows_is_made_once_for_each_rows_and_function() -> None:
    seen: list[int] = []

    def count(inputs: Inputs) -> int:
        seen.append(len(inputs))
        return len(inputs)

    _, one = rows([0, 1])
    _, other = rows([0, 1, 1])
    assert [one.once(count), one.once(count), other.once(count)] == [2, 2, 3]
    assert seen == [2, 3]
    assert one.once(len) == 2


def test_a_fit_knows_its_name_and_its_time() -> None:
    _, examples = rows([0, 1, 1])
    fitted = fit_baseline("mean", Baseline(reads="flat", fit=fit_mean), examples, examples, 0)
    assert fitted.name == "mean"
    assert fitted.seconds >= 0
    np.testing.assert_array_equal(fitted.model.predict(examples), [1.0, 1.0, 1.0])


def test_one_class_teaches_nothing() -> None:
    _, examples = rows([1, 1])
    with pytest.raises(InputError, match="both classes in training, all 2 rows are"):
        fit_baseline("mean", Baseline(reads="flat", fit=fit_mean), examples, examples, 0)


@pytest.mark.parametrize(
    ("reads", "reason"),
    [
        ((), ""),
        ("flat", ""),
        (("x",), ""),
        (("x", "y", "z"), "y, z, and the arrays of these samples hold none"),
        ("texts", "texts, and these samples are none"),
    ],
)
def test_what_a_baseline_cannot_read_is_said(reads: Any, reason: str) -> None:
    encoder, examples = rows([0, 1])
    baseline = Baseline(reads=reads, fit=fit_mean)
    assert baseline.unreadable(encoder, examples.arrays) == reason  # type: ignore[arg-type]
    if reason:
        with pytest.raises(InputError, match=f"mean reads {reason}"):
            fit_baseline("mean", baseline, examples, examples, 0)
