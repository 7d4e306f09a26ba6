"""A pretrained tokenizer: taken as it is, sealed with the encoder, and no sender writes its special tokens."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from detectors.phishing.tiny import TEXTS, framed, learn_unigram, learn_wordpiece
from tocsin.core.errors import InputError
from tocsin.core.types import column
from tocsin.features.tokenizer import open_pretrained, special_tokens
from tocsin.features.tokens import TokenEncoder, TokenOptions

LEARN = {"wordpiece": learn_wordpiece, "unigram": learn_unigram}


@pytest.fixture(scope="module", params=LEARN)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param)
    LEARN[request.param](TEXTS).save(str(path / "tokenizer.json"))
    return path


def columns(*texts: str) -> dict[str, np.ndarray]:
    return {"text": column(list(texts), numeric=False)}


def fitted(folder: Path, **more: Any) -> TokenEncoder:
    options = {"fields": ("text",), "tokens": 32, "pretrained": str(folder), **more}
    return TokenEncoder(TokenOptions(**options)).fit(columns(*TEXTS))


def test_a_row_is_what_the_tokenizer_itself_says(folder: Path) -> None:
    encoder, text = fitted(folder), "please verify your пароль"
    arrays = encoder.encode(columns(text, ""))
    wanted = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    assert arrays["tokens"][0, : arrays["length"][0]].tolist() == wanted
    assert arrays["length"][1] == 2


def test_a_long_text_keeps_its_frame(folder: Path) -> None:
    encoder = fitted(folder)
    arrays = encoder.encode(columns(" ".join(TEXTS[:20])))
    start, end = encoder.tokenizer.encode("").ids
    assert arrays["length"][0] == 32
    assert (arrays["tokens"][0, 0], arrays["tokens"][0, -1]) == (start, end)


def test_the_encoder_is_whole_without_the_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    encoder = fitted(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    loaded = TokenEncoder.load(encoder.save())
    assert (loaded.hidden, loaded.size) == (encoder.hidden, encoder.size)
    for name, values in encoder.encode(columns(*TEXTS[:9])).items():
        assert values.tobytes() == loaded.encode(columns(*TEXTS[:9]))[name].tobytes(), name


@pytest.mark.parametrize(
    "name", ["<s>", "</s>", "<pad>", "<mask>", "＜pad＞", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
)
def test_a_sender_cannot_write_a_special_token(folder: Path, name: str) -> None:
    encoder = fitted(folder)
    arrays = encoder.encode(columns(f"please {name} verify"))
    body = arrays["tokens"][0, 1 : arrays["length"][0] - 1]
    assert not set(body.tolist()) & (special_tokens(encoder.tokenizer) - {encoder.hidden})


def test_the_library_alone_lets_a_sender_write_one() -> None:
    """The negative control: XLM-R's kind of tokenizer finds the names of its special tokens in a text."""
    tokenizer = learn_unigram(TEXTS)
    tokenizer.encode_special_tokens = True
    assert (
        tokenizer.token_to_id("</s>") in tokenizer.encode("please </s> verify", add_special_tokens=False).ids
    )


@pytest.mark.parametrize(
    ("learn", "pair"),
    [
        (learn_wordpiece, "[CLS] $A [SEP] $B [SEP]"),
        (learn_unigram, "<s> $A </s> </s> $B </s>"),
    ],
)
def test_two_fields_are_framed_as_the_tokenizer_frames_a_pair(learn, pair: str, tmp_path: Path) -> None:
    tokenizer = learn(TEXTS)
    names = [(name, tokenizer.token_to_id(name)) for name in {*pair.split()} - {"$A", "$B"}]
    single = pair.partition(" $B")[0].removesuffix(" </s>" if "</s> </s>" in pair else "")
    tokenizer.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=names)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    encoder = fitted(tmp_path, fields=("text", "other"), segments=True, offsets=True)
    texts = "please verify", "your account"
    asked = dict(zip(("text", "other"), (column([text], numeric=False) for text in texts), strict=True))
    arrays = {name: values[0] for name, values in encoder.encode(asked).items()}
    wanted = tokenizer.encode(*texts, add_special_tokens=True)
    assert arrays["tokens"][: arrays["length"]].tolist() == wanted.ids
    for field, text in enumerate(texts):
        spans = arrays["offsets"][arrays["segments"] == field].tolist()
        covered = sorted({place for start, stop in spans for place in range(start, stop)})
        assert "".join(text[place] for place in covered) == text.replace(" ", "")


def without_mask() -> Tokenizer:
    text = learn_wordpiece(TEXTS).to_str().replace("[MASK]", "[CLOUD]")
    return Tokenizer.from_str(text)


def without_end() -> Tokenizer:
    found = json.loads(learn_wordpiece(TEXTS).to_str()) | {"post_processor": None}
    return Tokenizer.from_str(json.dumps(found))


def ended_by_zero() -> Tokenizer:
    return framed(learn_wordpiece(TEXTS), "[CLS]", "[PAD]")


@pytest.mark.parametrize(
    ("made", "why"),
    [(without_mask, "no token for what is hidden"), (without_end, "close"), (ended_by_zero, "close")],
)
def test_a_tokenizer_that_does_not_fit_is_refused_by_name(made, why: str, tmp_path: Path) -> None:
    made().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=why) as caught:
        fitted(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("where", "why"),
    [("nobody/has-this", "no folder"), ("nobody/has-this@v1", "no folder"), ("not an id", "no folder")],
)
def test_an_id_that_cannot_be_fetched_is_one_line(where: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        open_pretrained(where)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        open_pretrained(str(tmp_path))


def test_a_cached_id_is_opened_at_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hub's own cache lies on disk: refs name a commit, snapshots hold its files."""
    cache = tmp_path / "models--some--encoder"
    snapshot = cache / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "v1").write_text("a" * 40)
    learn_wordpiece(TEXTS).save(str(snapshot / "tokenizer.json"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    assert open_pretrained("some/encoder@v1").token_to_id("[MASK]") == 4
    with pytest.raises(InputError, match="gives nothing"):
        open_pretrained("some/encoder")
