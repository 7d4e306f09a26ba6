"""What disguises cost a sealed phishing model: recall on positives before and after, at its own threshold.

python -m benchmarks.evasion ARTIFACT DATA [--layout messages] [--rows 500] [--seed 0]
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tocsin.artifact.open import open_artifact
from tocsin.data.dataset import Dataset
from tocsin.data.sources import Reading, read
from tocsin.detectors.phishing.evasion import measure_evasion
from tocsin.detectors.phishing.sample import MOST_CHARACTERS, Message
from tocsin.serve.predictor import Predictor


def main() -> None:
    """Print one line a disguise, and JSON behind them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("data")
    parser.add_argument("--layout", default="auto")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    predictor = Predictor.load(open_artifact(options.artifact))
    data = read([options.data], predictor.schema, Reading(layout=options.layout))

    def score(texts: Sequence[str]) -> np.ndarray:
        samples = [Message(text=text[:MOST_CHARACTERS]) for text in texts]
        return np.array([verdict.probability for verdict in predictor.predict(samples)])

    threshold = predictor.artifact.manifest.calibration.threshold
    sides = [draw(data, side, options.rows, options.seed) for side in (1, 0)]
    found = measure_evasion(score, sides[0], sides[1], threshold, options.seed)
    for name, loss in found.items():
        print(f"{name:12}  recall {loss.recall:.3f} -> {loss.disguised:.3f}  lost {loss.lost:+.3f}")
    print(json.dumps({name: asdict(loss) | {"lost": loss.lost} for name, loss in found.items()}))


def draw(data: Dataset, side: int, rows: int, seed: int) -> list[str]:
    """Return texts of one class; those of the published test where the rows say which they are."""
    chosen = data.label == side
    if "split" in data.facets:
        chosen &= data.facets["split"] == "test"
    index = np.flatnonzero(chosen)
    index = np.random.default_rng(seed).permutation(index)[:rows]
    return [str(text) for text in data.columns["text"][index]]


if __name__ == "__main__":
    main()
