"""Training texts per second: our step, a raw PyTorch loop of the same CNN-LSTM, and a Keras CNN-LSTM of the same size.

All read the same made token ids, padded to 256 places. Ours and the raw loop take turns of a few steps in one
process; Keras, on its PyTorch backend, runs in an environment of its own and takes turns by process. Below them, what
training does besides: rows of like length together and cut at the longest, then texts disguised and encoded again.
"""

import statistics

import numpy as np
import torch

from benchmarks.steps import TURN, TURNS, Step, beside_peer, engine_step, hand_step, in_turns
from benchmarks.table import publish
from tocsin.detectors.phishing.augmentation import MessageBatches
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.encode import MessageEncoder, MessageOptions
from tocsin.detectors.phishing.features.shape import SHAPE
from tocsin.detectors.phishing.model import build_model
from tocsin.detectors.phishing.training import DetectTask
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.optim import Corrections
from tocsin.engine.task import Part

ROWS, BATCH, THREADS, PLACES, VOCABULARY = 4096, 128, 1, 256, 16_000
PEER_ROWS, PEER_TURNS = 1280, 3
CONFIG = PhishingConfig(wide=0)
"""Without the hashed weights, which Keras's network has none of."""


def make_arrays(rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return tokens of texts of very unlike lengths, as messages are, and labels."""
    rng = np.random.default_rng(0)
    length = np.clip(rng.lognormal(4.2, 0.9, rows), 4, PLACES).astype(np.int64)
    tokens = rng.integers(3, VOCABULARY, (rows, PLACES)) * (np.arange(PLACES) < length[:, None])
    shape = rng.normal(size=(rows, len(SHAPE))).astype(np.float32)
    return {"tokens": tokens, "length": length, "shape": shape}, rng.integers(0, 2, rows)


def our_step(batches: ArrayBatches | MessageBatches, vocabulary: int) -> Step:
    """Return a function that makes step `i` through the engine."""
    task = DetectTask(CONFIG, vocabulary, 0, Corrections(None, "shuffle", 0.0, 0.0, ()))
    return engine_step(task, batches)


def raw_step() -> Step:
    """Return the same step as an engineer writes it by hand."""
    torch.manual_seed(0)
    model = build_model(CONFIG, VOCABULARY, len(SHAPE), 0)
    return hand_step(model, *make_arrays(ROWS), BATCH)


def message_steps() -> dict[str, Step]:
    """Return steps over real batches of made texts: plain, and with all that training does to them."""
    rng = np.random.default_rng(0)
    words = np.array(
        [f"{a}{b}" for a in ("ver", "acc", "din", "pay", "mee") for b in ("ify", "ount", "ner", "ting")]
    )
    sizes = np.clip(rng.lognormal(3.4, 0.9, ROWS), 2, 300).astype(int)
    texts = np.array([" ".join(rng.choice(words, size)) for size in sizes], dtype=object)
    encoder = MessageEncoder(MessageOptions(tokens=PLACES, vocabulary=2_000)).fit({"text": texts})
    label = rng.integers(0, 2, ROWS)
    part = Part({"text": texts}, encoder.encode({"text": texts}), label, np.full(ROWS, -1), {})
    plain = {"augment_share": 0.0, "hide_share": 0.0, "foreign_share": 0.0, "shape_dropout": 0.0}
    how = {"like lengths together": PhishingConfig(**plain), "and disguised, hidden, estranged": CONFIG}
    size = encoder.size
    return {
        name: our_step(MessageBatches(part, BATCH, encoder, config, 0, True), size)
        for name, config in how.items()
    }


def main() -> None:
    """Measure and publish."""
    torch.set_num_threads(THREADS)
    arrays, label = make_arrays(ROWS)
    ours = our_step(ArrayBatches(arrays, {"label": label, "category": np.full(ROWS, -1)}, BATCH), VOCABULARY)
    raw = raw_step()
    ours(0), raw(0)
    pairs = in_turns(ours, raw, BATCH)
    parameters = sum(p.numel() for p in build_model(CONFIG, VOCABULARY, len(SHAPE), 0).parameters())
    ratio = statistics.median(a / b for a, b in pairs)
    table: list[tuple[object, ...]] = [
        ("tocsin engine, 256 places", parameters, max(a for a, _ in pairs), 1.0),
        ("raw PyTorch loop, 256 places", parameters, max(b for _, b in pairs), ratio),
    ]
    command = ["keras_peer.py", *map(str, (PEER_ROWS, BATCH, THREADS))]
    if found := beside_peer(ours, BATCH, PEER_TURNS, command):
        table.append(("Keras CNN -> LSTM, 256 places", *found))
    for name, step in message_steps().items():
        step(0)
        rates = in_turns(step, ours, BATCH, 200)
        slower = statistics.median(own / other for other, own in rates)
        table.append((f"tocsin engine, {name}", "", max(a for a, _ in rates), slower))
    notes = [
        f"batch {BATCH}, fp32, {THREADS} thread; turns of {TURN} steps, {TURNS} each (Keras: {PEER_TURNS} runs of"
        f" {PEER_ROWS // BATCH} steps)",
        "ratio: median of the first row's texts/s over the other's in the same turn; aim: raw ≥ 0.95",
        "Keras 3 on its PyTorch backend: embedding 96, 192 filters of width 5, max-pooling 4, two-way LSTM of 64",
        "the last two rows read made texts, not the same ids: shorter after cutting, so faster than 256 places",
    ]
    publish("messages", ["who", "parameters", "texts/s", "first / it"], table, notes)


if __name__ == "__main__":
    main()
