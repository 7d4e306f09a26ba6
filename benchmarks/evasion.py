"""What disguises cost a sealed phishing model: recall on positives before and after, at its own threshold.

python -m benchmarks.evasion ARTIFACT DATA [--layout messages] [--rows 500] [--seed 0]
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from benchmarks.sealed import draw, load, make_parser
from tocsin.detectors.phishing.evasion import measure_evasion
from tocsin.detectors.phishing.sample import MOST_CHARACTERS, Message


def main() -> None:
    """Print one line a disguise, and JSON behind them."""
    options = make_parser(__doc__, rows=500).parse_args()
    predictor, data = load(options)

    def score(texts: Sequence[str]) -> np.ndarray:
        samples = [Message(text=text[:MOST_CHARACTERS]) for text in texts]
        return np.array([verdict.probability for verdict in predictor.predict(samples)])

    threshold = predictor.artifact.manifest.calibration.threshold
    sides = [draw(data, side, options.rows, options.seed) for side in (1, 0)]
    found = measure_evasion(score, sides[0], sides[1], threshold, options.seed)
    for name, loss in found.items():
        print(f"{name:12}  recall {loss.recall:.3f} -> {loss.disguised:.3f}  lost {loss.lost:+.3f}")
    print(json.dumps({name: asdict(loss) | {"lost": loss.lost} for name, loss in found.items()}))


if __name__ == "__main__":
    main()
