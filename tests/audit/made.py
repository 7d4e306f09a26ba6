"""Made sets that nothing is wrong with, and defects to plant in them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from data.writing import vocabulary, write
from tocsin.audit.findings import AuditReport
from tocsin.audit.sides import Stated
from tocsin.audit.tables import audit
from tocsin.core.recipe import SourceSection, SplitSection
from tocsin.core.types import column
from tocsin.data.dataset import Dataset
from tocsin.data.splits import split
from truths import truths

REAL = {"*": SourceSection(licence="CC0", origin="real")}


@dataclass(frozen=True)
class Made:
    """Rows and what the recipe says about them."""

    dataset: Dataset
    official: Dataset | None = None
    stated: Stated = field(default_factory=lambda: Stated(sources=REAL))

    def audit(self) -> AuditReport:
        """Split as a run would, and check."""
        (fold,) = split(self.dataset, self.stated.split, self.official)
        return audit(self.dataset, fold, self.official, self.stated)

    def plant(self, defect: Callable[[Dataset, np.random.Generator], Dataset], seed: int = 0) -> "Made":
        """Return the same with a defect in the dataset."""
        return replace(self, dataset=defect(self.dataset, np.random.default_rng(seed)))


def texts(values) -> np.ndarray:
    return column([None if value is None else str(value) for value in values], numeric=False)


def rows_of(columns: dict[str, np.ndarray], label: np.ndarray, name: str = "a.csv", **more) -> Dataset:
    size = len(label)
    source = more.pop("source", texts([name] * size))
    return Dataset(
        columns=columns,
        truth=truths(label, ["dos" if value else "" for value in label]),
        ids=texts(f"{s}:{i}" for i, s in enumerate(source)),
        source=source,
        **more,
    )


def flows(seed: int, rows: int = 1600, share: float = 0.4, name: str = "a.csv", **more) -> Dataset:
    """Rows like those of a sensor: skewed numbers, counts, names; five columns tell a little each."""
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < share).astype(int)
    size = np.exp(rng.normal(5 + 0.8 * label, 1.2))
    columns = {
        "seconds": np.exp(rng.normal(-1 - 0.5 * label, 1.5)),
        "bytes": np.round(size, 3),
        "packets": rng.poisson(3 + 2 * label) + 1.0,
        "rate": size / np.exp(rng.normal(0, 1, rows)),
        "jitter": np.where(rng.random(rows) < 0.05, np.nan, rng.gamma(2, 1 + 0.4 * label)),
        "service": texts(rng.choice(["http", "dns", "tls", "ssh"], rows, p=[0.4, 0.3, 0.2, 0.1])),
        "state": texts(np.where(rng.random(rows) < 0.25 + 0.2 * label, "reset", "closed")),
    }
    return rows_of(columns, label, name, **more)


def messages(seed: int, rows: int = 1600) -> Dataset:
    """Texts of which the positive ones hold certain words more often, in two languages and channels."""
    rng = np.random.default_rng(seed)
    words = vocabulary(rng)
    label = rng.integers(0, 2, rows)
    said = write(rng, words, rows)
    counts = rng.poisson(0.6 + 2.4 * label)
    said = [f"{text} {' '.join(rng.choice(words[80:100], n))}." for text, n in zip(said, counts, strict=True)]
    columns = {
        "message": texts(said),
        "language": texts(rng.choice(["en", "pt"], rows)),
        "channel": texts(rng.choice(["mail", "sms"], rows)),
    }
    return rows_of(columns, label)


def clean(number: int) -> Made:
    """One of ten sets without a defect."""
    rng = np.random.default_rng(100 + number)
    stated = Stated(sources=REAL, prior=0.35)
    if number < 3:
        return Made(flows(number, rows=1200 + 400 * number), stated=stated)
    if number == 3:
        return Made(flows(3, share=0.1, rows=3000), stated=replace(stated, prior=0.1))
    if number == 4:
        return Made(flows(4), flows(44, rows=900, name="test.csv"), stated)
    if number == 5:
        group = texts(f"host-{g}" for g in rng.integers(0, 120, 1600))
        section = SplitSection(group="host")
        return Made(flows(5, group=group), stated=replace(stated, split=section))
    if number == 6:
        section = SplitSection(time="time")
        return Made(flows(6, time=np.cumsum(rng.exponential(1, 1600))), stated=replace(stated, split=section))
    if number == 7:
        source = texts(rng.choice(["monday.csv", "tuesday.csv"], 1600))
        return Made(flows(7, source=source), stated=stated)
    return Made(messages(number), stated=replace(stated, prior=0.5))
