"""Shortcuts: what tells the label without a model that understands anything. Gate F2.

Each is fitted on training rows and judged on validation rows; on test rows too, only to be put beside the model.
Shapes: N rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from tocsin.audit.columns import single_auc
from tocsin.audit.findings import Finding, Shortcut
from tocsin.audit.probe import WORD, Growth, fit_trees, fit_words
from tocsin.audit.sides import Sides, enumerate_items, has_both, is_missing, read_texts
from tocsin.core.types import Columns, column
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import mix
from tocsin.metrics.classification import judge, measure

NOTED, TELLING, GIVEAWAY = 0.8, 0.95, 0.999
"""ROC-AUC from which a column alone is named, a shortcut is a warning, and an error."""
TELLING_WORDS = 0.99
"""For words, which may tell the label by right: a warning, never an error."""
LEAST = 10
"""Rows of each class below which nothing is fitted."""
MOST_ROWS = 20_000

Auc = Callable[[Dataset], float | None]
"""ROC-AUC on some rows."""


def measure_shortcuts(sides: Sides) -> tuple[Shortcut, ...]:
    """Score every shortcut in SHORTCUTS."""
    fair = all(has_both(sides.parts[side].label, LEAST) for side in ("train", "valid"))
    found = []
    for name, shortcut in SHORTCUTS.items():
        auc, words = shortcut(sides) if fair else (None, "too few rows of a class")
        valid, test = (auc(sides.parts[side]) if auc else None for side in ("valid", "test"))
        found.append(Shortcut(name=name, roc_auc=valid, test_roc_auc=test, description=words))
    return tuple(found)


def check_shortcuts(sides: Sides) -> Iterator[Finding]:
    """Columns that tell the label by themselves; lengths, metadata and words that do."""
    for threshold, above, severity, action in (
        (GIVEAWAY, 2.0, "error", "is it known when the row is scored? if not, deny it"),
        (TELLING, GIVEAWAY, "warning", "make sure that it is no trace of how the data was made"),
    ):
        found = {
            c.name: f"{c.auc:.4f}" for c in sides.columns if c.auc is not None and threshold <= c.auc < above
        }
        if found:
            message = enumerate_items("ROC-AUC of one column alone", found)
            yield Finding(severity=severity, name="shortcut", message=message, action=action)
    yield from _tell_columns(sides)
    known = [s for s in sides.once(measure_shortcuts) if s.roc_auc is not None]
    for one in known:
        auc, least = one.roc_auc or 0.0, TELLING_WORDS if one.name == WORDS else TELLING
        if one.name in (MAJORITY, SINGLE) or auc < least:
            continue
        yield Finding(
            severity="error" if auc >= GIVEAWAY and one.name != WORDS else "warning",
            name=f"{one.name} shortcut",
            message=f"ROC-AUC {auc:.4f} with nothing but {one.description}",
            action="see what gives the label away, and whether it will be there when the model is used",
        )
    if known:
        items = {s.name: f"{s.roc_auc:.4f}" for s in known}
        message = enumerate_items("ROC-AUC on validation rows without understanding anything", items)
        yield Finding(severity="info", name="shortcut baselines", message=message)


def _tell_columns(sides: Sides) -> Iterator[Finding]:
    found = {c.name: f"{c.auc:.3f}" for c in sides.columns if c.auc is not None and NOTED <= c.auc < TELLING}
    if found:
        message = enumerate_items("ROC-AUC of one column alone", found, most=6)
        yield Finding(
            severity="info", name="telling columns", message=message, action="see why they tell so much"
        )


def _majority(sides: Sides) -> tuple[Auc, str]:
    share = float((sides.parts["train"].label == 1).mean())
    accuracy = max(share, 1 - share)
    return lambda _: 0.5, f"always the more frequent label, right {accuracy:.1%} of the time in training"


def _single(sides: Sides) -> tuple[Auc | None, str]:
    best = next((c for c in sides.columns if c.auc is not None), None)
    if best is None:
        return None, "no column can be judged"
    name, train = best.name, sides.parts["train"]
    return (
        lambda part: single_auc(train.columns[name], train.label, part.columns[name], part.label),
        f"the column {name}",
    )


def _length(sides: Sides) -> tuple[Auc | None, str]:
    if not sides.texts:
        return None, "there is no free text"

    def lengths(part: Dataset) -> np.ndarray:
        return column([len(text) for text in read_texts(part, sides.texts)], numeric=True)

    train = sides.parts["train"]
    return (
        lambda part: single_auc(lengths(train), train.label, lengths(part), part.label),
        f"the number of characters in {', '.join(sides.texts)}",
    )


def _metadata(sides: Sides) -> tuple[Auc | None, str]:
    train = _describe_row(sides.parts["train"], sides)
    used = [name for name, values in train.items() if len(set(values.tolist())) > 1]
    if not used:
        return None, "there is nothing beside the features: one file, no field missing anywhere"
    label = sides.parts["train"].label
    probe = fit_trees({name: train[name] for name in used}, label, Growth(threads=sides.stated.threads))

    def auc(part: Dataset) -> float | None:
        described = _describe_row(part, sides)
        return _auc(part.label, probe.predict({name: described[name] for name in used}))

    return auc, f"what stands beside the content: {', '.join(used[:5])}{' ...' if len(used) > 5 else ''}"


def _describe_row(part: Dataset, sides: Sides) -> dict[str, np.ndarray]:
    """Return what is known of rows without looking at what they say: file, which fields are missing, short fields."""
    found = {"file": part.source}
    found |= {f"{n} missing": is_missing(v).astype(np.float64) for n, v in part.columns.items()}
    return found | ({n: part.columns[n] for n in sides.names} if sides.texts else {})


def _word(sides: Sides) -> tuple[Auc | None, str]:
    """Find the word whose presence tells most: the link that is in every positive, the header that is in none."""
    if not sides.texts:
        return None, "there is no free text"
    train = sides.parts["train"].take(thin(len(sides.parts["train"]), MOST_ROWS))
    counts = {side: Counter[str]() for side in (0, 1)}
    for words, label in zip(_said(train, sides), train.label.tolist(), strict=True):
        if label in counts:
            counts[label].update(words)
    sizes = {side: max(1, int((train.label == side).sum())) for side in counts}
    lead = {w: counts[1][w] / sizes[1] - counts[0][w] / sizes[0] for w in counts[0] | counts[1]}
    best = min(lead, key=lambda word: (-abs(lead[word]), word), default="")
    way = 1.0 if lead.get(best, 0.0) >= 0 else 0.0

    def auc(part: Dataset) -> float | None:
        shown = np.array([best in words for words in _said(part, sides)])
        return _auc(part.label, np.where(shown, way, 1.0 - way))

    return auc, f"whether the word {best!r} occurs"


def _said(part: Dataset, sides: Sides) -> list[set[str]]:
    return [set(WORD.findall(text.casefold())) for text in read_texts(part, sides.texts)]


def _words(sides: Sides) -> tuple[Auc | None, str]:
    texts = [*sides.texts, *sides.names]
    if not texts:
        return None, "there is no text"
    index = thin(len(sides.parts["train"]), MOST_ROWS)
    train = sides.parts["train"].take(index)
    if not has_both(train.label):
        return None, "too few rows of a class"
    probe = fit_words(_only(train.columns, texts), train.label, sides.texts)
    return (
        lambda part: _auc(part.label, probe.predict(_only(part.columns, texts))),
        f"the words of {', '.join(texts[:5])}{' ...' if len(texts) > 5 else ''}, in no order",
    )


def _only(columns: Columns, names: list[str]) -> Columns:
    return {name: columns[name] for name in names}


def _auc(truth: np.ndarray, probability: np.ndarray) -> float | None:
    return measure(judge(truth, probability, 0.5))["roc_auc"] if has_both(truth) else None


def thin(size: int, most: int, seed: int = 0) -> np.ndarray:
    """Return the index, rising, of at most so many of `size` rows, drawn by a hash of their place."""
    order = np.argsort(mix(np.arange(size, dtype=np.uint64), seed), kind="stable")
    return np.sort(order[:most])


MAJORITY, SINGLE, LENGTH, METADATA, WORD_ALONE, WORDS = (
    "majority",
    "best single feature",
    "length",
    "metadata",
    "best single word",
    "bag-of-words",
)
SHORTCUTS: dict[str, Callable[[Sides], tuple[Auc | None, str]]] = {
    MAJORITY: _majority,
    LENGTH: _length,
    METADATA: _metadata,
    SINGLE: _single,
    WORD_ALONE: _word,
    WORDS: _words,
}
