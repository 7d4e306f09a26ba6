"""Golden samples are sealed and handed on: rows that name a person are passed over where others are there."""

import numpy as np

from tocsin.core.types import column
from tocsin.workflows.training.package import PASSED, choose_rows

TEXTS = ["dinner at eight", "write to ada@bank.test", "lunch at noon", None] * 50


def columns(texts: list[str | None]) -> dict[str, np.ndarray]:
    return {
        "text": column(texts, numeric=False),
        "length": column([len(text or "") for text in texts], numeric=True),
    }


def test_rows_that_say_nothing_private_are_chosen_once_each() -> None:
    side = np.arange(len(TEXTS))
    chosen = choose_rows(columns(TEXTS), side, 32)
    assert len(set(chosen.tolist())) == len(chosen) == 32
    assert not any("@" in (TEXTS[row] or "") for row in chosen)
    plain = np.linspace(0, len(TEXTS) - 1, 32).astype(int)
    assert any("@" in (TEXTS[row] or "") for row in plain)  # without looking, some would
    assert (np.abs(np.sort(chosen) - plain) <= 3).all()


def test_without_texts_rows_stand_at_even_distances() -> None:
    numbers = {"length": np.arange(200.0)}
    wanted = np.linspace(3, 199, 16).astype(int)
    assert choose_rows(numbers, np.arange(3, 200), 16).tolist() == wanted.tolist()


def test_where_all_rows_are_private_some_are_taken_all_the_same() -> None:
    private = ["call ada@bank.test"] * (2 * PASSED)
    assert len(choose_rows(columns(private), np.arange(len(private)), 8)) == 8
    assert choose_rows(columns(private), np.array([7]), 8).tolist() == [7]
