"""Tokens of named fields: nothing is unknown, each token says where it is from, a row alone is a row among others."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tocsin.core.axes import cut, join
from tocsin.core.encoder import Encoder, HasTexts
from tocsin.core.errors import InputError
from tocsin.core.types import Place, column, take
from tocsin.features.tokenizer import BREAK, PAD, TOKENIZER
from tocsin.features.tokens import TokenEncoder, TokenOptions

TEXTS = [
    "Please verify your account now!",
    "Hello, dinner at eight?",
    "您的账户已被锁定",
    "Подтвердите пароль",
] * 8
ASKED = ["asks for an account", "speaks of food", "asks for an account", "threatens"] * 8
ANY = st.text(st.characters(), max_size=120)


def columns(texts: list[str | None], criteria: list[str | None]) -> dict[str, np.ndarray]:
    return {"text": column(texts, numeric=False), "criterion": column(criteria, numeric=False)}


def fit(**more: Any) -> TokenEncoder:
    options = {
        "fields": ("text", "criterion"),
        "tokens": 32,
        "vocabulary": 600,
        "segments": True,
        "offsets": True,
    }
    return TokenEncoder(TokenOptions(**options | more)).fit(columns(TEXTS, ASKED))


FITTED = fit()


@cache
def fit_wide() -> TokenEncoder:
    return fit(tokens=256)


@given(ANY, ANY, ANY)
def test_any_unicode_has_tokens_alone_as_among_others(text: str, criterion: str, other: str) -> None:
    together = FITTED.encode(columns([other, text], [text, criterion]))
    alone = FITTED.encode(columns([text], [criterion]))
    for name, values in alone.items():
        assert values.tobytes() == together[name][1:].tobytes(), name
    length = int(alone["length"][0])
    assert 2 <= length <= 32
    assert (alone["tokens"][0, :length] > PAD).all()
    for name in ("tokens", "segments", "offsets"):
        assert not alone[name][0, length:].any(), name
    assert alone["tokens"].max() < FITTED.size
    start, stop = alone["offsets"][0].T
    limit = np.array([len(text), len(criterion)])[alone["segments"][0]]
    assert ((start >= 0) & (start <= stop) & (stop <= limit)).all()


@given(st.text("aB é锁0!\n", max_size=24), st.text("aB é锁0!\n", max_size=24))
def test_tokens_name_every_character_in_its_order(text: str, criterion: str) -> None:
    arrays = fit_wide().encode(columns([text], [criterion]))
    for field, value in enumerate((text, criterion)):
        found = arrays["offsets"][0][arrays["segments"][0] == field].tolist()
        inside = [span for span in found if span[1]]
        assert inside == sorted(inside)
        covered = {place for start, stop in inside for place in range(start, stop)}
        assert {place for place, c in enumerate(value) if not c.isspace()} <= covered
        assert not any(value[start:stop][:1].isspace() for start, stop in inside)


def test_each_field_is_opened_and_told_from_the_other() -> None:
    arrays = FITTED.encode(columns(["verify"], ["account"]))
    ids = arrays["tokens"][0, : arrays["length"][0]].tolist()
    second = arrays["segments"][0].tolist().index(1)
    assert (ids[0], ids[second]) == (BREAK, BREAK)
    swapped = FITTED.encode(columns(["account"], ["verify"]))
    assert swapped["tokens"].tolist() != arrays["tokens"].tolist()


def test_a_long_field_leaves_room_for_the_other_and_keeps_its_ends() -> None:
    text = "first " + "dinner " * 99 + "last"
    arrays = FITTED.encode(columns([text], ["asks for an account"]))
    sides = [arrays["offsets"][0][arrays["segments"][0] == field].tolist() for field in (0, 1)]
    covered = {place for start, stop in sides[0] for place in range(start, stop)}
    ends = {*range(5), *range(len(text) - 4, len(text))}
    assert ends < covered
    assert len(covered) < len(text) / 2
    assert max(stop for _, stop in sides[1]) == len("asks for an account")
    assert FITTED.encode(columns([text], [text]))["length"].tolist() == [32]


def test_a_missing_text_is_an_empty_one() -> None:
    missing, empty = FITTED.encode(columns([None], ["a"])), FITTED.encode(columns([""], ["a"]))
    assert all(missing[name].tobytes() == empty[name].tobytes() for name in empty)


def test_only_what_is_asked_for_is_made() -> None:
    plain = fit(segments=False, offsets=False)
    assert set(plain.encode(columns(TEXTS, ASKED))) == {"tokens", "length"}
    assert set(plain.axes) == {"tokens"}
    both = FITTED.encode(columns(TEXTS, ASKED))
    assert both["tokens"].tobytes() == plain.encode(columns(TEXTS, ASKED))["tokens"].tobytes()
    assert set(FITTED.axes) == {"tokens", "segments", "offsets"}


def test_rows_are_cut_and_joined_by_the_axes() -> None:
    whole = FITTED.encode(columns(TEXTS[:4], ASKED[:4]))
    parts = [cut(take(whole, np.array([row])), FITTED.axes) for row in range(4)]
    again, once = join(parts, FITTED.axes), cut(whole, FITTED.axes)
    assert {name: values.shape for name, values in again.items()} == {n: v.shape for n, v in once.items()}
    assert all(again[name].tobytes() == once[name].tobytes() for name in once)
    assert once["offsets"].shape[1] < whole["offsets"].shape[1]


def test_passages_of_both_fields_are_hidden() -> None:
    asked = columns(["Hello. Please verify"], ["asks"])
    found = dict(FITTED.hide(asked, FITTED.encode(asked)))
    assert set(found) == {
        Place(where="text", start=0, stop=6),
        Place(where="text", start=7, stop=20),
        Place(where="criterion", start=0, stop=4),
    }
    without = FITTED.encode(columns(["Hello.  "], ["asks"]))
    hidden = found[Place(where="text", start=7, stop=20)]
    assert all(hidden[name].tobytes() == without[name].tobytes() for name in without)


def test_watching_counts_what_training_did_not_see() -> None:
    strange, long = "κωδικός", " ".join(["dinner"] * 40)
    arrays = FITTED.encode(columns([TEXTS[1], strange, long, ""], [None] * 4))
    found = FITTED.watch(arrays)
    assert all(values.dtype == np.float64 and np.isfinite(values).all() for values in found.values())
    assert found["tokens"].tolist() == arrays["length"].tolist()
    assert found["full"].tolist() == [0, 0, 1, 0]
    assert found["pieces"][1] > 0.8 > found["pieces"][0]


def test_what_is_saved_encodes_the_same() -> None:
    loaded = TokenEncoder.load(FITTED.save())
    before, after = (one.encode(columns(TEXTS, ASKED)) for one in (FITTED, loaded))
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert loaded.save() == FITTED.save()
    assert loaded.axes == FITTED.axes


def test_it_is_an_encoder_of_texts() -> None:
    encoder: Encoder = FITTED
    assert isinstance(encoder, HasTexts)
    assert FITTED.texts(columns(["a", "b"], ["c", None])) == ["a\nc", "b"]
    matrix, names, _ = FITTED.flatten(FITTED.encode(columns(TEXTS, ASKED)))
    assert matrix.shape == (len(TEXTS), len(names))


@pytest.mark.parametrize("name", ["tokens.json", TOKENIZER])
@pytest.mark.parametrize("damage", [b"", b"{}", b'{"fields": 3}', b"\xff"])
def test_foreign_files_are_refused(name: str, damage: bytes) -> None:
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        TokenEncoder.load({**FITTED.save(), name: damage})
    with pytest.raises(InputError, match="not nothing"):
        TokenEncoder.load({})


def test_there_is_a_field_and_room_for_it() -> None:
    for wrong in ({"fields": ()}, {"fields": tuple("abcde")}, {"tokens": 8}):
        with pytest.raises(ValidationError):
            fit(**wrong)
