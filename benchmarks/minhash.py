"""Near-duplicate texts: our clusters beside those of datasketch and rensa, and both beside all pairs counted.

The libraries run in the peers' environment (its path in TOCSIN_PEERS, by default .venv-peers); without it their rows
are left out. All see the same distinct texts, the same shingles, 256 permutations in 64 bands, and join what is alike.
"""

import json
import os
import random
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time

import numpy as np
import polars as pl
from scipy import sparse

from benchmarks.steps import run_peer
from benchmarks.table import publish
from tocsin.data.minhash import ALIKE, BANDS, BINS, WIDTH, _normalise, cluster_texts
from tocsin.detectors.phishing.demo import make

MADE, REAL, TURNS = 6_000, 20_000, 2
COPIED = 3
"""Every third message is there twice, the second time without some of its words."""
MESSAGES = Path(os.environ.get("TOCSIN_SHARED_DATA", "../shared/data"), "phishing", "messages.parquet")


def main() -> None:
    """Measure and publish."""
    table = [row for name, texts in collections() for row in compare(name, texts)]
    publish(
        "minhash",
        ["texts", "who", "seconds", "it / tocsin", "pairs in one cluster", "recall", "precision"],
        table,
        [
            f"made: {MADE:,} messages of the phishing demo; real: {REAL:,} of the shared ones; distinct",
            f"and of every {COPIED}rd a copy that lacks up to a third of its words",
            f"seconds of one processor, the best of {TURNS} turns; ratio: the median over turns",
            f"recall: share of the pairs with a Jaccard similarity of {ALIKE} or more, all counted, in one cluster",
            "precision: share of the pairs in one cluster that all pairs counted also join, directly or over others",
            "ours alone reads a text again without its boilerplate: what it joins more by that counts against it here",
            "ours includes normalisation; the others are handed normalised texts and hash shingles by their default",
        ],
    )


def collections() -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the distinct texts of each collection that is there."""
    with tempfile.TemporaryDirectory() as folder:
        yield "made", distinct(pl.read_csv(make(Path(folder), 0, MADE))["text"].to_list())
    if MESSAGES.exists():
        yield "real", distinct(pl.read_parquet(MESSAGES)["text"].sample(REAL, seed=0).to_list())


def distinct(texts: Sequence[str]) -> list[str]:
    """Return the texts, and copies of some that lack up to a third of their words, that stay apart when normalised."""
    rng = random.Random(0)
    copies = [
        " ".join(word for word in text.split() if rng.random() > missing)
        for text in texts[::COPIED]
        for missing in (rng.random() / 3,)
    ]
    return list({_normalise(text): text for text in (*texts, *copies)}.values())


def compare(name: str, texts: list[str]) -> Iterator[tuple[object, ...]]:
    """Yield the rows of one collection."""
    plain = [_normalise(text) for text in texts]
    start = process_time()
    a, b = all_pairs(plain)
    exact = components(a, b, len(plain))
    counted = process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.json")
        path.write_text(json.dumps(plain), "utf-8")
        turns = [_turn(texts, path) for _ in range(TURNS)]
    for who in turns[0]:
        seconds = [turn[who][0] for turn in turns]
        ratio = statistics.median(turn[who][0] / turn["tocsin"][0] for turn in turns)
        label = turns[0][who][1]
        recall, precision = (
            float((label[a] == label[b]).mean()),
            shared(label, exact) / max(shared(label, label), 1),
        )
        title = f"{len(texts):,} {name}"
        yield (
            title,
            who,
            min(seconds),
            ratio,
            float(shared(label, label)),
            f"{recall:.4f}",
            f"{precision:.4f}",
        )
    yield f"{len(texts):,} {name}", "all pairs counted", counted, "", float(shared(exact, exact)), "1", "1"


def _turn(texts: list[str], plain: Path) -> dict[str, tuple[float, np.ndarray]]:
    start = process_time()
    keys = cluster_texts(texts)
    found = {"tocsin": (process_time() - start, np.unique(keys, return_inverse=True)[1])}
    for who in ("datasketch", "rensa"):
        told = run_peer(["minhash_peer.py", who, str(plain), *map(str, (WIDTH, BINS, BANDS, ALIKE))])
        if told:
            found[who] = told["seconds"], np.array(told["labels"])
    return found


def all_pairs(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return every pair, int64 [P] twice, whose Jaccard similarity is at least ALIKE.

    Two such sets share one of the rarest shingles of each. Source: Bayardo, Ma and Srikant 2007, "Scaling Up All
    Pairs Similarity Search", prefix filtering.
    """
    sets = incidence(texts)
    sizes = np.diff(sets.indptr)
    keep = np.arange(sets.nnz) - np.repeat(sets.indptr[:-1], sizes) <= np.repeat(
        sizes - np.ceil(ALIKE * sizes), sizes
    )
    rare = sparse.csr_array((sets.data * keep, sets.indices, sets.indptr), sets.shape, copy=True)
    rare.eliminate_zeros()
    a, b = sparse.triu(rare @ rare.T, 1).nonzero()
    found = []
    for part in np.array_split(np.arange(len(a)), len(a) // 20_000 + 1):
        common = sets[a[part]].multiply(sets[b[part]]).sum(axis=1)
        found.append(common / (sizes[a[part]] + sizes[b[part]] - common) >= ALIKE)
    alike = np.concatenate(found)
    return a[alike], b[alike]


def incidence(texts: Sequence[str]) -> sparse.csr_array:
    """Return which text has which shingle, int32 [D, S], the rarest shingles first."""
    numbers: dict[str, int] = {}
    rows = [
        {numbers.setdefault(text[i : i + WIDTH], len(numbers)) for i in range(max(len(text) - WIDTH, 0) + 1)}
        for text in texts
    ]
    columns = np.fromiter((number for row in rows for number in row), np.int64)
    place = np.argsort(np.argsort(np.bincount(columns), kind="stable"))
    starts = np.cumsum([0, *map(len, rows)])
    found = sparse.csr_array(
        (np.ones(len(columns), np.int32), place[columns], starts), (len(texts), len(numbers))
    )
    found.sort_indices()
    return found


def components(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """Return the cluster of each text, int64 [D], when every pair is joined."""
    graph = sparse.coo_array((np.ones(len(a)), (a, b)), (count, count))
    return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1])


def shared(one: np.ndarray, other: np.ndarray) -> int:
    """Return how many pairs of texts are together in both clusterings."""
    counts = np.unique(np.stack([one, other]), axis=1, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


if __name__ == "__main__":
    main()
