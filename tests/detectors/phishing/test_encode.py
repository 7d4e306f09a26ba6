"""Messages as arrays: nothing is unknown, a row alone is a row among others, what is hidden is what is named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.phishing.tiny import TEXTS as PLAIN
from detectors.phishing.tiny import learn_wordpiece
from tocsin.core.errors import InputError
from tocsin.core.types import Place, column
from tocsin.detectors.phishing.encode import MessageEncoder, MessageOptions
from tocsin.detectors.phishing.features.folding import fold
from tocsin.detectors.phishing.features.shape import SHAPE
from tocsin.features.tokenizer import BREAK, PAD, SPECIAL, TOKENIZER

TEXTS = [
    "Please verify your account at https://bank.example/a now!",
    "Hello, dinner at eight?",
    "您的账户已被锁定，请登录",
    "Срочно подтвердите пароль",
    "Habari yako rafiki, karibu nyumbani",
] * 8
ANY = st.text(st.characters(), max_size=120)


def encoder(**options: int) -> MessageEncoder:
    return MessageEncoder(MessageOptions(**{"tokens": 32, "vocabulary": 600, **options})).fit(columns(TEXTS))


def columns(texts: list[str], **more: list[str | None]) -> dict[str, np.ndarray]:
    return {name: column(values, numeric=False) for name, values in {"text": texts, **more}.items()}


def tokens(text: str) -> list[int]:
    arrays = FITTED.encode(columns([text]))
    return arrays["tokens"][0, : arrays["length"][0]].tolist()


FITTED = encoder()


@given(ANY, ANY)
def test_any_unicode_has_tokens_alone_as_among_others(text: str, other: str) -> None:
    together = FITTED.encode(columns([other, text]))
    alone = FITTED.encode(columns([text]))
    for name, values in alone.items():
        assert values.tobytes() == together[name][1:].tobytes(), name
    length = int(alone["length"][0])
    assert 1 <= length <= 32
    assert (alone["tokens"][0, :length] > PAD).all()
    assert (alone["tokens"][0, length:] == PAD).all()
    assert alone["tokens"].max() < FITTED.size
    assert np.isfinite(alone["shape"]).all()


@pytest.mark.parametrize("name", SPECIAL)
def test_a_sender_cannot_write_a_special_token(name: str) -> None:
    ids = FITTED.tokenizer.encode(name).ids
    assert ids[0] == BREAK
    assert min(ids[1:]) >= len(SPECIAL)
    loaded = MessageEncoder.load(FITTED.save())
    assert loaded.tokenizer.encode(name).ids == ids


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    words = [f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(200)]
    ids = tokens(" ".join(words))
    assert len(ids) == 32
    assert ids[0] == BREAK
    assert ids[-3:] == tokens(words[-1])[-3:]


def test_markup_that_hides_in_a_message_takes_no_room_from_its_words() -> None:
    words = "one two three " * 12 + "please send the money before noon " + "six seven eight " * 12
    plain, hidden = (tokens(t) for t in (words, words.replace("e", "e<!-- 1234567890 -->")))
    assert hidden == plain


def test_masks_of_a_long_message_stay() -> None:
    short, long = (tokens("call <NUM> or open <URL> " * times) for times in (1, 40))
    assert long[:4] == short[:4]
    assert set(short) <= set(long)


def test_the_language_is_never_read() -> None:
    one, other = (FITTED.encode(columns(["hi"], language=[name])) for name in ("en", "sw"))
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_a_bare_link_keeps_its_letters() -> None:
    link = ["https://paypal.example/login"]
    as_url, as_text = (FITTED.encode(columns(link, channel=[c])) for c in ("url", "email"))
    assert as_url["length"][0] > as_text["length"][0]


def test_links_are_passages_of_their_own_and_are_taken_out() -> None:
    text = "Please go to https://bank.example/a right now."
    asked = columns([text], subject=["Urgent"])
    found = dict(FITTED.hide(asked, FITTED.encode(asked)))
    named = {place: text[place.start : place.stop] for place in found if place.where == "text"}
    assert "https://bank.example/a" in named.values()
    assert Place(where="subject", start=0, stop=6) in found
    link = next(place for place, value in named.items() if value.startswith("https"))
    without = FITTED.encode(columns([text.replace("https://bank.example/a", " ")], subject=["Urgent"]))
    assert all(found[link][key].tobytes() == without[key].tobytes() for key in without)


@pytest.mark.parametrize("name", ["text.json", TOKENIZER])
@pytest.mark.parametrize("damage", [b"", b"{}", b'{"options": 3}', b"\xff"])
def test_foreign_files_are_refused(name: str, damage: bytes) -> None:
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        MessageEncoder.load({**FITTED.save(), name: damage})
    with pytest.raises(InputError):
        MessageEncoder.load({})


def test_what_is_saved_encodes_the_same() -> None:
    loaded = MessageEncoder.load(FITTED.save())
    before, after = (found.encode(columns(TEXTS)) for found in (FITTED, loaded))
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_the_shape_says_what_it_is_called() -> None:
    plain, loud = FITTED.encode(columns(["hello there my friend", "HELLO THERE $$$ !!!"]))["shape"]
    for name in ("capitals", "exclamations", "currency"):
        assert loud[SHAPE.index(name)] > plain[SHAPE.index(name)]


def test_watching_counts_what_training_did_not_see() -> None:
    usual = "Hello, dinner at eight?"
    strange, long = "κωδικός", " ".join(["dinner"] * 40)
    arrays = FITTED.encode(columns([usual, strange, long, ""]))
    found = FITTED.watch(arrays)
    assert all(values.dtype == np.float64 and values.shape == (4,) for values in found.values())
    assert all(np.isfinite(values).all() for values in found.values())
    assert found["tokens"].tolist() == arrays["length"].tolist()
    assert found["full"].tolist() == [0, 0, 1, 0]
    assert found["pieces"][1] > 0.9 > found["pieces"][0]
    assert found["cues"].tolist() == arrays["cues"].sum(axis=1).tolist()
    assert {f"shape.{name}" for name in SHAPE} < found.keys()


def test_padding_is_no_piece() -> None:
    narrow, wide = (encoder(tokens=size) for size in (32, 128))
    texts = columns(TEXTS[:5])
    pieces = [one.watch(one.encode(texts))["pieces"].tolist() for one in (narrow, wide)]
    assert pieces[0][:2] == pieces[1][:2]


def test_a_pretrained_tokenizer_reads_texts_that_are_not_folded(tmp_path: Path) -> None:
    learn_wordpiece(PLAIN).save(str(tmp_path / "tokenizer.json"))
    options = MessageOptions(tokens=32, pretrained=str(tmp_path))
    pretrained = MessageEncoder(options).fit(columns(TEXTS))
    text = "Please\u200b <b>verify</b> 12"
    arrays = pretrained.encode(columns([text], subject=["AB"]))
    wanted = pretrained.tokenizer.encode("AB\nPlease verify 12").ids
    assert arrays["tokens"][0, : arrays["length"][0]].tolist() == wanted
    assert wanted != pretrained.tokenizer.encode(fold(f"AB\n{text}")).ids


def test_only_the_axes_of_what_is_made_are_declared() -> None:
    with_letters, without = encoder(), encoder(letters=0)
    assert set(with_letters.axes) == {"tokens", "letters"}
    assert set(without.axes) == {"tokens"}
    assert "letters" not in without.encode(columns(TEXTS))
