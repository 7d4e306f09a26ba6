"""Batches: drawn evenly, the same for the same (seed, epoch, place), and no disguise touches a label."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.phishing.tiny import TEXTS, WORDS, learn_unigram, learn_wordpiece
from tocsin.detectors.phishing.augmentation import (
    MessageBatches,
    bucket,
    cells,
    draw_cells,
    find_marks,
    word_tokens,
)
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.disguise import DISGUISES, LEET, LOOKALIKES, disguise
from tocsin.detectors.phishing.encode import MessageEncoder, MessageOptions
from tocsin.detectors.phishing.features.folding import fold
from tocsin.engine.task import Part
from tocsin.features.tokenizer import PAD, open_pretrained, special_tokens
from truths import truths

TEXT = "Please verify your account at https://secure.bank.example/a before 20:00, thank you very much"


def part(rows: int = 600) -> tuple[Part, MessageEncoder]:
    rng = np.random.default_rng(0)
    words = [
        "please",
        "verify",
        "account",
        "dinner",
        "tonight",
        "thanks",
        "bank",
        "meeting",
        "password",
        "offer",
    ]
    texts = np.array([" ".join(rng.choice(words, rng.integers(2, 25))) for _ in range(rows)], dtype=object)
    label = (rng.random(rows) < 0.3).astype(np.int64)
    source = np.where(np.arange(rows) < rows // 10, "small", "large").astype(object)
    texts = np.where(source == "small", texts + " enron", texts)
    encoder = MessageEncoder(MessageOptions(tokens=32, vocabulary=400)).fit({"text": texts})
    facets = {"source": source, "language": np.full(rows, "en", dtype=object)}
    return Part({"text": texts}, encoder.encode({"text": texts}), truths(label), (), facets), encoder


PART, ENCODER = part()
PLAIN = {
    "augment_share": 0.0, "hide_share": 0.0, "foreign_share": 0.0, "shape_dropout": 0.0, "balance": "none",
}  # fmt: skip


def batches(training: bool = True, seed: int = 0, **options: object) -> MessageBatches:
    return MessageBatches(PART, 32, ENCODER, PhishingConfig(**(PLAIN | options)), seed, training)


@given(st.text(max_size=200), st.integers(0, 2**32))
def test_a_disguise_is_a_text_and_the_same_for_the_same_seed(text: str, seed: int) -> None:
    for change in (*DISGUISES.values(), disguise):
        once, again = (change(text, random.Random(seed)) for _ in range(2))
        assert once == again
        assert bool(once.strip()) or not text.strip() or change is DISGUISES["word dropout"]


@pytest.mark.parametrize("name", ["homoglyph", "zero-width", "casing"])
@given(seed=st.integers(0, 2**32))
def test_what_folding_undoes_leaves_the_same_text(name: str, seed: int) -> None:
    changed = DISGUISES[name]("please verify your account today", random.Random(seed))
    alike = sum(a == b for a, b in zip(fold(changed), "please verify your account today", strict=False))
    assert alike >= (32 if name != "homoglyph" else 24)


@given(seed=st.integers(0, 2**32))
def test_a_reader_still_reads_it(seed: int) -> None:
    """Label-safe by construction: letters come back, in their order, from every disguise but those that drop."""
    back = {v: k for k, v in LOOKALIKES.items()} | {v: k for k, v in LEET.items()}
    for name in ("homoglyph", "zero-width", "leet links", "spacing", "casing"):
        changed = DISGUISES[name](TEXT, random.Random(seed))
        read = "".join(back.get(c, c) for c in changed if c.isalnum() or c in back).lower()
        wanted = "".join(back.get(c, c) for c in TEXT if c.isalnum() or c in back).lower()
        assert read == wanted, name
    for name in ("typing", "word dropout"):
        changed = DISGUISES[name](TEXT, random.Random(seed))
        assert len(set(changed.split()) & set(TEXT.split())) >= len(TEXT.split()) // 2, name


def test_the_same_place_gives_the_same_batch_and_another_seed_does_not() -> None:
    options = {"augment_share": 0.5, "hide_share": 0.2, "foreign_share": 0.2, "balance": "source"}
    one, again, other = (batches(seed=seed, **options) for seed in (1, 1, 2))
    assert (one[9].inputs["tokens"] == again[9].inputs["tokens"]).all()
    assert not np.array_equal(one[9].inputs["tokens"].numpy(), other[9].inputs["tokens"].numpy())


def test_labels_stay_with_their_texts() -> None:
    """Whatever is done to inputs, targets are those of the rows drawn."""
    plain, busy = batches(), batches(augment_share=0.9, hide_share=0.4, foreign_share=0.9)
    for i in range(len(plain)):
        assert (plain[i].targets["label"] == busy[i].targets["label"]).all()
        assert plain[i].count == busy[i].count
    changed = sum(not np.array_equal(plain[i].inputs["tokens"], busy[i].inputs["tokens"]) for i in range(7))
    assert changed == 7


def test_an_epoch_has_every_row_once() -> None:
    found = np.concatenate([batches()._order_of(3)])
    assert sorted(found.tolist()) == list(range(len(PART)))


def test_evaluation_takes_rows_as_they_stand() -> None:
    source = batches(training=False, augment_share=0.9, hide_share=0.4)
    labels = np.concatenate([source[i].targets["label"].numpy() for i in range(len(source))])
    assert (labels == PART.label).all()
    assert (
        source[0].inputs["tokens"].numpy()
        == PART.arrays["tokens"][:32, : source[0].inputs["tokens"].shape[1]]
    ).all()


def test_classes_and_sources_are_drawn_more_evenly() -> None:
    drawn = draw_cells(cells(PART, "source"), np.random.default_rng(0))
    assert len(drawn) == len(PART)
    counts = Counter(PART.facets["source"][drawn].tolist())
    assert abs(PART.label[drawn].mean() - 0.5) < 0.01
    assert counts["small"] > 1.5 * len(PART) / 10
    assert cells(PART, "none") is None


def test_buckets_hold_every_row_and_like_lengths() -> None:
    length = np.random.default_rng(0).integers(1, 100, 1000)
    order = bucket(np.random.default_rng(1).permutation(1000), length, 32, np.random.default_rng(2))
    assert sorted(order.tolist()) == list(range(1000))
    spread = [np.ptp(length[order[i : i + 32]]) for i in range(0, 960, 32)]
    assert np.mean(spread) < 30


def test_marks_of_a_source_are_found_and_hidden() -> None:
    marks = find_marks(PART, ENCODER.size)
    enron, account = (
        ENCODER.tokenizer.encode(word, add_special_tokens=False).ids for word in ("enron", "account")
    )
    assert marks[enron].all() or len(enron) > 1
    assert not marks[account].all()


def test_a_strange_language_keeps_what_is_no_letter() -> None:
    words, _ = word_tokens(ENCODER.tokenizer)
    plain, strange = batches(), batches(foreign_share=0.99)
    for i in range(len(plain)):
        a, b = plain[i].inputs["tokens"].numpy(), strange[i].inputs["tokens"].numpy()
        assert ((a == b) | np.isin(a, words)).all()
    assert (plain[0].inputs["tokens"] != strange[0].inputs["tokens"]).any()


def test_only_tokens_inside_are_hidden() -> None:
    hidden = batches(hide_share=0.45)[0].inputs
    plain = batches()[0].inputs
    changed = hidden["tokens"] != plain["tokens"]
    assert (hidden["tokens"][changed] == ENCODER.hidden).all()
    assert ((plain["tokens"] == PAD) == (hidden["tokens"] == PAD)).all()
    assert changed.any()


@pytest.mark.parametrize("learn", [learn_wordpiece, learn_unigram])
def test_words_can_be_made_strange(learn, tmp_path: Path) -> None:
    learn(TEXTS).save(str(tmp_path / "tokenizer.json"))
    tokenizer = open_pretrained(str(tmp_path))
    words, rare = word_tokens(tokenizer)
    assert len(rare) > 10
    assert not special_tokens(tokenizer) & {*words.tolist(), *rare.tolist()}
    body = tokenizer.encode(" ".join(WORDS[:8]), add_special_tokens=False).ids
    blank = {token for token in body if not tokenizer.decode([token]).strip()}  # a Unigram's lone space
    assert set(body) - set(words.tolist()) <= blank
