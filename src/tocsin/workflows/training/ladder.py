"""The baselines of a run, fitted beside the network, and everybody's scores on the same rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.audit.baselines import Baseline, fit_baselines
from tocsin.audit.ngrams import NGRAMS, fit_ngrams
from tocsin.audit.readers import READERS, Reader, fit_readers
from tocsin.audit.rules import RULES, fit_rules
from tocsin.core.encoder import TextReader
from tocsin.core.errors import InputError
from tocsin.engine.task import Part
from tocsin.metrics.comparison import Scores
from tocsin.workflows.training.members import Member, Parts, augmented_rows
from tocsin.workflows.training.shipping import AVERAGE, BOOSTED, ArrayModel, Shippable, Side, mixture, needed

FITS: Mapping[str, Callable[[Side, Side, int], ArrayModel]] = {NGRAMS: fit_ngrams, RULES: fit_rules}
"""Baselines that read the arrays as a model does: (training, validation, seed) -> a fitted one."""


@dataclass(frozen=True)
class Ladder:
    """The fitted baselines: those that read flat features, texts, or the letters and cues of the arrays."""

    tables: Mapping[str, Baseline] = field(default_factory=dict)
    readers: Mapping[str, Reader] = field(default_factory=dict)
    whole: Mapping[str, ArrayModel] = field(default_factory=dict)

    @property
    def shippable(self) -> Shippable:
        """Return what can be made a graph of."""
        return {**self.tables, **self.whole}


def fit_ladder(member: Member, tell: Callable[[str], None]) -> Ladder:
    """Fit the baselines that the recipe reports or ships, and LightGBM once more on the rows as they were augmented."""
    recipe, parts, seed = member.job.recipe, member.parts, member.job.seed
    wanted = needed(recipe.export, parts.train.arrays)
    names = list(dict.fromkeys([*recipe.evaluation.baselines, *wanted]))
    if not names:
        return Ladder()
    tell(f"baselines: {', '.join(names)}")
    train, valid = (parts.encoder.flatten(part.arrays) for part in (parts.train, parts.valid))
    held_out = (valid, parts.valid.label)
    tables = [name for name in names if name not in READERS and name not in FITS]
    fitted = fit_baselines(tables, (train, parts.train.label), held_out, seed)
    augmented = augmented_rows(member.stage) if BOOSTED in names else None
    if augmented is not None:
        rows = (parts.encoder.flatten(augmented[0]), augmented[1])
        fitted[f"{BOOSTED}, augmented"] = fit_baselines([BOOSTED], rows, held_out, seed)[BOOSTED]
    readers = _fit_readers([name for name in names if name in READERS], parts, seed)
    learned, kept = ((part.arrays, part.label) for part in (parts.train, parts.valid))
    whole = {name: FITS[name](learned, kept, seed) for name in names if name in FITS}
    return Ladder(fitted, readers, whole)


def _fit_readers(names: Sequence[str], parts: Parts, seed: int) -> dict[str, Reader]:
    """Fit the baselines that read texts; InputError where the samples are no texts."""
    if not names:
        return {}
    texts = _texts(parts, parts.train)
    return fit_readers(names, texts, parts.train.label, seed)


def _texts(parts: Parts, part: Part) -> list[str]:
    if not isinstance(parts.encoder, TextReader):
        raise InputError("evaluation.baselines: some read texts, and these samples are none")
    return parts.encoder.texts(part.columns)


def score_all(members: Mapping[str, Member], first: Member, ladder: Ladder) -> dict[str, Scores]:
    """Score members with what was exported, and the baselines that are none of them by their libraries."""
    ordered = sorted(members.items(), key=lambda item: item[1] is not first)
    scores = {name: _member_scores(member, ladder) for name, member in ordered}
    others = {name: baseline for name, baseline in ladder.tables.items() if name not in members}
    whole = {name: model for name, model in ladder.whole.items() if name not in members}
    read = _reader_scores(first.parts, ladder.readers) | _array_scores(first.parts, whole)
    return scores | _table_scores(first.parts, others) | read


def _member_scores(member: Member, ladder: Ladder) -> Scores:
    """Score what was exported; a shipped baseline stays a baseline."""
    is_baseline = member.model is None
    made = (
        f"{ladder.shippable[member.job.name].description}, exported" if is_baseline else _parameters(member)
    )
    return Scores(
        member.probability(member.valid),
        member.probability(member.test),
        "baseline" if is_baseline else "model",
        description=f"{made}, temperature {member.temperature:.3g}",
        fit_seconds=member.seconds,
    )


def _parameters(member: Member) -> str:
    count = sum(p.numel() for p in member.model.parameters()) if member.model is not None else 0
    if member.job.name != AVERAGE:
        return f"{count:,} parameters"
    weights = mixture(member.job.recipe.export, member.parts.train.arrays)
    return f"{count:,} parameters; mean of " + ", ".join(f"{name} x {w:g}" for name, w in weights.items())


def _array_scores(parts: Parts, models: Mapping[str, ArrayModel]) -> dict[str, Scores]:
    valid, test = parts.valid.arrays, parts.test.arrays
    return {
        name: Scores(m.predict(valid), m.predict(test), "baseline", m.description, m.seconds)
        for name, m in models.items()
    }


def _table_scores(parts: Parts, baselines: Mapping[str, Baseline]) -> dict[str, Scores]:
    if not baselines:
        return {}
    valid, test = (parts.encoder.flatten(part.arrays)[0] for part in (parts.valid, parts.test))
    return {
        name: Scores(b.predict(valid), b.predict(test), "baseline", b.description, b.seconds)
        for name, b in baselines.items()
    }


def _reader_scores(parts: Parts, readers: Mapping[str, Reader]) -> dict[str, Scores]:
    if not readers:
        return {}
    valid, test = (_texts(parts, part) for part in (parts.valid, parts.test))
    return {
        name: Scores(r.predict(valid), r.predict(test), "baseline", r.description, r.seconds)
        for name, r in readers.items()
    }
