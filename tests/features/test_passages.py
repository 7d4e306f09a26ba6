"""Passages: every word is in one of them, and what is hidden is what is named."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.types import Columns, Place, column
from tocsin.features.passages import MOST, hide_passages, passages

LINK = re.compile(r"https?://\S+")


@pytest.mark.parametrize("alone", [None, LINK])
@given(text=st.text(max_size=300))
def test_passages_cover_every_word_once(text: str, alone: re.Pattern[str] | None) -> None:
    spans = list(passages(text, alone))
    assert all(a < b for a, b in spans)
    assert all(b <= c for (_, b), (c, _) in itertools.pairwise(spans))
    left = "".join(c for i, c in enumerate(text) if not any(a <= i < b for a, b in spans))
    assert not left.strip()


def words(text: str, alone: re.Pattern[str] | None = None) -> list[str]:
    return [text[start:stop] for start, stop in passages(text, alone)]


def test_a_passage_ends_with_its_sentence_or_after_eight_words() -> None:
    assert words("Go now. Read a b c d e f g h i") == ["Go now.", "Read a b c d e f g", "h i"]


def test_a_script_without_spaces_is_cut_into_short_words() -> None:
    assert words("您" * 100) == ["您" * 96, "您" * 4]


def test_what_stands_alone_is_a_passage_of_its_own() -> None:
    text = f"go to https://a.example/{'x' * 60} and read"
    assert words(text, LINK) == ["go to", f"https://a.example/{'x' * 60}", "and read"]
    assert words(text)[0].startswith("go to https")


def encode(columns: Columns) -> dict[str, np.ndarray]:
    return {"size": np.array([len(a or "") + len(b or "") for a, b in zip(*columns.values(), strict=True)])}


def test_each_passage_is_hidden_alone_and_named() -> None:
    asked = {"title": column(["Hello."], numeric=False), "body": column(["Come soon. Bye"], numeric=False)}
    found = dict(hide_passages(encode, asked, ("title", "body")))
    assert found == {
        Place(where="title", start=0, stop=6): {"size": np.array([15])},
        Place(where="body", start=0, stop=10): {"size": np.array([11])},
        Place(where="body", start=11, stop=14): {"size": np.array([18])},
    }
    assert asked["body"][0] == "Come soon. Bye"


def test_fields_without_a_text_have_no_passage() -> None:
    asked = {"title": column([None], numeric=False), "body": column([""], numeric=False)}
    assert not list(hide_passages(encode, asked, ("title", "body", "other")))


def test_a_long_row_is_asked_a_bounded_number_of_times() -> None:
    asked = {"title": column(["a. " * 200], numeric=False), "body": column(["b"], numeric=False)}
    assert len(list(hide_passages(encode, asked, ("title", "body")))) == MOST
