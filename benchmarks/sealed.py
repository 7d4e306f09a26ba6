"""A sealed phishing model and labelled messages, as the programs that question one are given them."""

import argparse
from pathlib import Path

import numpy as np

from tocsin.artifact.open import open_artifact
from tocsin.data.dataset import Dataset
from tocsin.data.sources import Reading, read
from tocsin.serve.predictor import Predictor


def make_parser(about: str | None, rows: int) -> argparse.ArgumentParser:
    """Return a parser of: ARTIFACT DATA --layout --rows --seed."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("data")
    parser.add_argument("--layout", default="auto")
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def load(options: argparse.Namespace) -> tuple[Predictor, Dataset]:
    """Open the artifact and read the rows."""
    predictor = Predictor.load(open_artifact(options.artifact))
    data = read([options.data], predictor.schema, Reading(layout=options.layout))
    return predictor, data


def draw(data: Dataset, side: int, rows: int, seed: int) -> list[str]:
    """Return texts of one class; those of the published test where the rows say which they are."""
    chosen = data.label == side
    if "split" in data.facets:
        chosen &= data.facets["split"] == "test"
    index = np.flatnonzero(chosen)
    index = np.random.default_rng(seed).permutation(index)[:rows]
    return [str(text) for text in data.columns["text"][index]]
