"""Training texts per second: our step, a raw PyTorch loop of the same CNN-LSTM, and a Keras CNN-LSTM of the same size.

All read the same made token ids, padded to 256 places. Ours and the raw loop take turns of a few steps in one
process; Keras, on its PyTorch backend, runs in an environment of its own and takes turns by process. Below them, what
training does besides: rows of like length together and cut at the longest, then texts disguised and encoded again.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional as F

from benchmarks.table import publish
from tocsin.core.recipe import OptimSection
from tocsin.detectors.phishing.augmentation import MessageBatches
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.model import build_model
from tocsin.detectors.phishing.training import DetectTask
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.optim import Corrections
from tocsin.engine.step import Stepper
from tocsin.engine.task import Part
from tocsin.features.text import SHAPE, TextEncoder, TextOptions

ROWS, BATCH, TURN, TURNS, THREADS, PLACES, VOCABULARY = 4096, 128, 4, 6, 1, 256, 16_000
PEER_ROWS, PEER_TURNS = 1280, 3
CONFIG = PhishingConfig(wide=0)
"""Without the hashed weights, which Keras's network has none of."""

Step = Callable[[int], object]


def make_arrays(rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return tokens of texts of very unlike lengths, as messages are, and labels."""
    rng = np.random.default_rng(0)
    length = np.clip(rng.lognormal(4.2, 0.9, rows), 4, PLACES).astype(np.int64)
    tokens = rng.integers(3, VOCABULARY, (rows, PLACES)) * (np.arange(PLACES) < length[:, None])
    shape = rng.normal(size=(rows, len(SHAPE))).astype(np.float32)
    return {"tokens": tokens, "length": length, "shape": shape}, rng.integers(0, 2, rows)


def our_step(batches: ArrayBatches | MessageBatches, vocabulary: int) -> Step:
    """Return a function that makes step `i` through the engine."""
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    task = DetectTask(CONFIG, vocabulary, 0, Corrections(None, "shuffle", 0.0, 0.0, ()))
    torch.manual_seed(0)
    model = task.build()
    model, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), lr=1e-4))
    stepper = Stepper(fabric, task, model, optimizer, OptimSection())
    return lambda index: stepper(batches[index])


def raw_step() -> Step:
    """Return the same step as an engineer writes it by hand."""
    arrays, label = make_arrays(ROWS)
    inputs = {name: torch.from_numpy(values) for name, values in arrays.items()}
    target = torch.from_numpy(label).float()
    torch.manual_seed(0)
    model = build_model(CONFIG, VOCABULARY, len(SHAPE), 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    order = torch.randperm(ROWS)

    def step(index: int) -> float:
        rows = order[index * BATCH % ROWS :][:BATCH]
        logit = model(**{k: v[rows] for k, v in inputs.items()})["logit"]
        loss = F.binary_cross_entropy_with_logits(logit, target[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def message_steps() -> dict[str, Step]:
    """Return steps over real batches of made texts: plain, and with all that training does to them."""
    rng = np.random.default_rng(0)
    words = np.array(
        [f"{a}{b}" for a in ("ver", "acc", "din", "pay", "mee") for b in ("ify", "ount", "ner", "ting")]
    )
    sizes = np.clip(rng.lognormal(3.4, 0.9, ROWS), 2, 300).astype(int)
    texts = np.array([" ".join(rng.choice(words, size)) for size in sizes], dtype=object)
    encoder = TextEncoder(TextOptions(tokens=PLACES, vocabulary=2_000)).fit({"text": texts})
    label = rng.integers(0, 2, ROWS)
    part = Part({"text": texts}, encoder.encode({"text": texts}), label, np.full(ROWS, -1), {})
    plain = {"augment_share": 0.0, "hide_share": 0.0, "foreign_share": 0.0, "shape_dropout": 0.0}
    how = {"like lengths together": PhishingConfig(**plain), "and disguised, hidden, estranged": CONFIG}
    size = encoder.size
    return {
        name: our_step(MessageBatches(part, BATCH, encoder, config, 0, True), size)
        for name, config in how.items()
    }


def rate(step: Step, first: int) -> float:
    """Return texts per second over one turn."""
    start = time.perf_counter()
    for index in range(first, first + TURN):
        step(index)
    return TURN * BATCH / (time.perf_counter() - start)


def keras_rate() -> dict[str, float] | None:
    """Run Keras in the peers' environment; None where there is none."""
    python = Path(os.environ.get("TOCSIN_PEERS", ".venv-peers"), "bin", "python").absolute()
    if not python.exists():
        return None
    script = Path(__file__).with_name("keras_peer.py")
    command = [str(python), str(script), *map(str, (PEER_ROWS, BATCH, THREADS))]
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=True, cwd=script.parent, env=environment
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Measure and publish."""
    torch.set_num_threads(THREADS)
    arrays, label = make_arrays(ROWS)
    ours = our_step(ArrayBatches(arrays, {"label": label, "category": np.full(ROWS, -1)}, BATCH), VOCABULARY)
    raw = raw_step()
    ours(0), raw(0)
    pairs = [(rate(ours, 1 + t * TURN), rate(raw, 1 + t * TURN)) for t in range(TURNS)]
    parameters = sum(p.numel() for p in build_model(CONFIG, VOCABULARY, len(SHAPE), 0).parameters())
    ratio = statistics.median(a / b for a, b in pairs)
    table: list[tuple[object, ...]] = [
        ("tocsin engine, 256 places", parameters, max(a for a, _ in pairs), 1.0),
        ("raw PyTorch loop, 256 places", parameters, max(b for _, b in pairs), ratio),
    ]
    turns = [(keras_rate(), rate(ours, 100 + t * TURN)) for t in range(PEER_TURNS)]
    found = [(peer["rate"], int(peer["parameters"]), own) for peer, own in turns if peer]
    if found:
        best, size, _ = max(found)
        table.append(
            ("Keras CNN -> LSTM, 256 places", size, best, statistics.median(o / p for p, _, o in found))
        )
    for name, step in message_steps().items():
        step(0)
        rates = [(rate(step, 1 + t * TURN), rate(ours, 200 + t * TURN)) for t in range(TURNS)]
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
