"""Messages answered per second: one by one against batches of 100, in one process and over HTTP.

python -m benchmarks.message_serving [ARTIFACT]: without one, a network of the default size is trained for a few steps.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.load import http_post, run_load
from benchmarks.servers import serving, train_briefly
from benchmarks.table import publish
from tocsin.artifact.open import open_artifact
from tocsin.detectors.phishing.demo import make
from tocsin.detectors.phishing.sample import Message
from tocsin.serve.predictor import Predictor

ROUNDS, SECONDS, BATCH = 7, 3.0, 100
PATH = "/v1/phishing/predict"


def make_artifact(folder: Path, ship: str) -> Path:
    """Train the default network for a few steps: only its size matters here."""
    sets = ["stages.fit.length=10 steps", "evaluation.max_false_positive_rate=0.1"]
    sets += [f"name={ship}", f"export.ship={ship}"]
    return train_briefly(folder, "phishing", "message", make(folder, 0, rows=3000), sets)


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(artifact: Path) -> list[tuple[object, ...]]:
    """Return rows of the table: in one process, then over HTTP."""
    predictor = Predictor.load(open_artifact(artifact))
    samples = [sample for sample in predictor.golden_samples() if isinstance(sample, Message)]
    samples = [samples[i % len(samples)] for i in range(BATCH)]
    predictor.predict(samples)
    pairs = [
        (
            seconds(lambda: [predictor.predict([s]) for s in samples]),
            seconds(lambda: predictor.predict(samples)),
        )
        for _ in range(ROUNDS)
    ]
    singles, batches = (BATCH / min(side) for side in zip(*pairs, strict=True))
    times = statistics.median(a / b for a, b in pairs)
    found: list[tuple[object, ...]] = [("in one process", singles, batches, times)]
    with serving(artifact) as port:
        bodies = [sample.model_dump() for sample in samples]
        requests = [http_post(PATH, json.dumps(body).encode()) for body in (bodies[0], bodies)]
        loads = [[run_load(port, r, connections=1, seconds=SECONDS).rate for r in requests] for _ in range(3)]
        ratio = statistics.median(BATCH * many / one for one, many in loads)
        found.append(
            ("HTTP, one connection", max(a for a, _ in loads), BATCH * max(b for _, b in loads), ratio)
        )
    return found


def main() -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as name:
        given = [("given", Path(sys.argv[1]))] if len(sys.argv) > 1 else []
        made = given or [(ship, make_artifact(Path(name), ship)) for ship in ("model", "average")]
        table = [(f"{ship}, {where}", *rest) for ship, path in made for where, *rest in measure(path)]
    notes = [
        f"golden messages, batches of {BATCH}; {ROUNDS} rounds in turns in one process, 3 of {SECONDS:.0f} s over HTTP",
        "best rate of each; ratio: median over rounds; aim ≥ 10. One inference thread, load from the same cores",
        "model: the CNN-LSTM of the default recipe; average: with n-grams and LightGBM beside it",
    ]
    publish("message_serving", ["what", "texts/s, singles", "texts/s, batches", "times"], table, notes)


if __name__ == "__main__":
    main()
