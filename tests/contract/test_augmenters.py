"""Gate F10: every augmenter says what it does to labels and spans, and does no more than that."""

import inspect
from dataclasses import is_dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from tocsin.core.errors import InputError
from tocsin.core.promise import Promise, join_promises, promised
from tocsin.detectors import intrusion
from tocsin.detectors.intrusion.augmentation import Chain, HideFeatures, MaskFeatures, MixOutliers
from tocsin.detectors.phishing.augmentation import MessageBatches
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.encode import MessageEncoder, MessageOptions
from tocsin.engine.batch import Batch
from tocsin.engine.generators import make_generator
from tocsin.engine.task import Part
from truths import truths

FOLDER = Path(intrusion.__file__).parents[1]
PLAIN = {
    "augment_share": 0.0, "hide_share": 0.0, "foreign_share": 0.0, "shape_dropout": 0.0, "balance": "none",
}  # fmt: skip


def message_batches(**shares: float) -> MessageBatches:
    """A source that does one thing to made messages, or several."""
    rng = np.random.default_rng(0)
    words = np.array(["please", "verify", "account", "dinner", "tonight", "bank", "https://a.example/x"])
    texts = np.array([" ".join(rng.choice(words, 12)) for _ in range(200)], dtype=object)
    encoder = MessageEncoder(MessageOptions(tokens=32, vocabulary=400)).fit({"text": texts})
    label = rng.integers(0, 2, 200)
    part = Part(
        {"text": texts}, encoder.encode({"text": texts}), truths(label, ["kind"] * len(label)), ("kind",)
    )
    return MessageBatches(part, 50, encoder, PhishingConfig(**(PLAIN | shares)), 0, True)


EXAMPLES = {
    "intrusion": (
        MaskFeatures(0.4, 3),
        HideFeatures(0.3),
        MixOutliers(0.8, 1.0),
        Chain((MixOutliers(0.8, 1.0), HideFeatures(0.3))),
    ),
    "phishing": (
        message_batches(augment_share=0.9),
        message_batches(hide_share=0.4),
        message_batches(foreign_share=0.9),
        message_batches(shape_dropout=0.9),
        message_batches(augment_share=0.3, hide_share=0.1, foreign_share=0.2, shape_dropout=0.5),
    ),
}
ALL = [example for examples in EXAMPLES.values() for example in examples]
CALLED = [example for example in ALL if callable(example)]
DRAWN = [example for example in ALL if not callable(example)]
"""Sources of batches that augment what they draw."""


def classes(detector: str) -> set[type]:
    """Every class of a detector's `augmentation` module that is called with a batch, or draws batches itself."""
    module = import_module(f"tocsin.detectors.{detector}.augmentation")
    return {
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
        and is_dataclass(kind)
        and {"__call__", "__getitem__"} & set(vars(kind))
    }


def made_batch() -> Batch:
    rng = np.random.default_rng(0)
    inputs = {
        "numeric": torch.from_numpy(rng.normal(size=(300, 3)).astype(np.float32)),
        "state": torch.zeros(300, 3, dtype=torch.long),
        "categorical": torch.from_numpy(rng.integers(3, 9, (300, 2))),
    }
    label = torch.from_numpy(rng.integers(0, 2, 300))
    return Batch(inputs, {"label": label, "category": label - 1}, torch.ones(300, dtype=torch.float64))


def test_every_augmenter_of_every_detector_has_an_example():
    found = {path.parent.name for path in FOLDER.glob("*/augmentation.py")}
    assert found == set(EXAMPLES)
    for detector, examples in EXAMPLES.items():
        assert {type(example) for example in examples} == classes(detector)


@pytest.mark.parametrize("augmenter", CALLED, ids=lambda a: type(a).__name__)
def test_it_keeps_its_promise(augmenter):
    batch, promise = made_batch(), promised(augmenter)
    after = augmenter(batch, make_generator(1))
    assert not [name for name in (*after.inputs, *after.targets) if "span" in name] or promise.spans != "none"
    if "label" not in after.targets:
        return
    touched = torch.zeros(300, dtype=torch.bool)
    for name, values in after.inputs.items():
        touched |= (values != batch.inputs[name]).any(1)
    assert touched.any(), "it does something"
    relabelled = after.targets["label"] != batch.targets["label"]
    if promise.labels == "kept":
        assert not relabelled.any()
    assert not (relabelled & ~touched).any(), "a row that was left alone keeps its label"


@pytest.mark.parametrize("source", DRAWN, ids=range(len(DRAWN)))
def test_a_source_that_augments_keeps_its_promise(source):
    assert promised(source) == Promise("kept", "none")
    plain = replace(source, config=PhishingConfig(**PLAIN))
    touched = 0
    for place in range(len(source)):
        after, before = source[place], plain[place]
        assert not [name for name in (*after.inputs, *after.targets) if "span" in name]
        for name, values in before.targets.items():
            assert torch.equal(after.targets[name], values), name
        assert torch.equal(after.terms_B, before.terms_B)
        touched += any(
            values.shape != before.inputs[name].shape or not torch.equal(values, before.inputs[name])
            for name, values in after.inputs.items()
        )
    assert touched == len(source), "it does something"


def test_the_worst_of_several_promises_counts():
    kept, remade, moved = Promise("kept", "none"), Promise("remade", "none"), Promise("kept", "moved")
    assert join_promises([kept, remade, moved]) == Promise("remade", "moved")
    assert join_promises([]) == kept
    assert Chain((HideFeatures(0.1), MixOutliers(0.1, 0.1))).promise == remade


def test_silence_is_no_promise():
    with pytest.raises(InputError, match="'Silent' does not say"):
        promised(type("Silent", (), {})())
