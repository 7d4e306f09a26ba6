"""Does the evidence of a sealed phishing model matter? What is named is cut out, and what is drawn at random.

python -m benchmarks.message_evidence ARTIFACT DATA [--layout messages] [--rows 300] [--named 3] [--seed 0]

For messages that are phishing and are called so: the passages that the verdict names are cut out, and in turn DRAWS
times as many characters from places drawn at random. Counted is how often the named ones lower the logit more than the
random ones do on average.
"""

import random
import re

import numpy as np

from benchmarks.sealed import draw, load, make_parser
from tocsin.core.types import Columns, column
from tocsin.detectors.phishing.sample import Message
from tocsin.metrics.bootstrap import wilson
from tocsin.serve.predictor import Predictor

NAMED, DRAWS = 3, 10
PLACE = re.compile(r"text\[(\d+):(\d+)\]")
Span = tuple[int, int]


def main() -> None:
    """Print the share, with its Wilson interval."""
    parser = make_parser(__doc__, rows=300)
    parser.add_argument("--named", type=int, default=NAMED, help="passages that are cut out, the strongest")
    options = parser.parse_args()
    predictor, data = load(options)
    texts = draw(data, 1, options.rows, options.seed)
    verdicts = predictor.predict([Message(text=text) for text in texts], explain=options.named)
    won, short = [], 0
    for place, (text, verdict) in enumerate(zip(texts, verdicts, strict=True)):
        if verdict.label != predictor.artifact.manifest.calibration.positive:
            continue
        found = [PLACE.fullmatch(piece.name) for piece in verdict.evidence if piece.weight > 0]
        named = [(int(m[1]), int(m[2])) for m in found if m]
        if not named or 2 * sum(b - a for a, b in named) > len(text):
            short += 1  # nothing of that length is left to be drawn beside what is named
            continue
        won.append(_beats_random(predictor, text, named, random.Random(f"{options.seed} {place}")))
    low, high = wilson(sum(won), len(won), 0.95)
    print(
        f"{len(texts)} positives drawn, {len(won)} of them called phishing and longer than twice what is named"
    )
    print(f"({short} are shorter); in {np.mean(won):.1%} of these (95 % interval {low:.1%} to {high:.1%})")
    print("the named passages lower the logit more than random ones do on average")


def _beats_random(predictor: Predictor, text: str, named: list[Span], rng: random.Random) -> bool:
    others = [_draw_spans(text, named, rng) for _ in range(DRAWS)]
    cut = [_cut(text, spans) for spans in (named, *others)]
    columns: Columns = {"text": column(cut, numeric=False)}
    logit = predictor.outputs(columns)["logit"]
    return bool(logit[0] < logit[1:].mean())


def _draw_spans(text: str, named: list[Span], rng: random.Random) -> list[Span]:
    """Return spans as long as the named ones, each beginning anywhere."""
    starts = [rng.randrange(max(len(text) - (b - a), 1)) for a, b in named]
    return [(start, start + b - a) for start, (a, b) in zip(starts, named, strict=True)]


def _cut(text: str, spans: list[Span]) -> str:
    for start, stop in sorted(spans, reverse=True):
        text = text[:start] + " " + text[stop:]
    return text


if __name__ == "__main__":
    main()
