"""A learned tokenizer: nothing is unknown, and the same texts give the same tokens."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.features.tokenizer import BREAK, SPECIAL, Words, frame_of, learn_tokenizer, write_tokenizer

TEXTS = ["please verify your account now", "hello, dinner at eight", "您的账户已被锁定", "room 2024"] * 8


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_bytes_bring_back_every_character(text: str) -> None:
    nothing_known = learn_tokenizer((), 0)
    spelled = nothing_known.decode(nothing_known.encode(text).ids)
    assert "".join(spelled.split()) == "".join(text.split())


def test_tokens_are_learned_and_the_same_texts_give_the_same() -> None:
    learned = learn_tokenizer(TEXTS, 600)
    assert len(learned.encode("verify your account", add_special_tokens=False).ids) == 3
    assert write_tokenizer(learn_tokenizer(TEXTS, 600)) == write_tokenizer(learned)
    assert learn_tokenizer(TEXTS, 300).get_vocab_size() <= 300


def words(text: str, how: Words) -> list[tuple[int, int]]:
    tokenizer = learn_tokenizer((), 0, how)
    assert tokenizer.pre_tokenizer is not None
    return [place for _, place in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def test_numbers_and_marks_are_words() -> None:
    text = "call 2024 \ue000\ue000"
    assert [text[a:b] for a, b in words(text, Words())] == ["call", " 2024", "\ue000\ue000"]
    folded = words(text, Words(digits="0", marks="\ue000"))
    assert [text[a:b].strip() for a, b in folded] == ["call", "2", "0", "2", "4", "\ue000", "\ue000"]


def test_han_are_words_by_themselves() -> None:
    places = words("您的ab", Words())
    assert places == [(0, 1), (1, 2), (2, 4)]
    assert all(stop == start for (_, stop), (start, _) in pairwise(places))


@pytest.mark.parametrize("name", SPECIAL)
def test_nobody_can_write_a_special_token(name: str) -> None:
    ids = learn_tokenizer(TEXTS, 600).encode(name).ids
    assert ids[0] == BREAK
    assert min(ids[1:]) >= len(SPECIAL)


def test_each_text_is_opened_by_a_break() -> None:
    frame = frame_of(learn_tokenizer((), 0))
    assert (frame.first, frame.later, frame.behind) == ([BREAK], [BREAK], [])
    assert frame.count(3) == 3
