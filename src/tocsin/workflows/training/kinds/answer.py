"""The kind `answer`: texts of a language model, judged word by word beside simpler answerers on the same test rows.

What is proved is what is sealed: the files are loaded as a server loads them, and every score is of answers that
this model wrote, the most probable token first.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import save as save_safetensors
from torch import nn

from tocsin.artifact.bom import write_bom
from tocsin.artifact.card import Told, write_card
from tocsin.artifact.keys import load_private_key
from tocsin.artifact.manifest import ENCODER, GOLDEN, RECIPE, WEIGHTS, Manifest
from tocsin.artifact.open import Artifact
from tocsin.artifact.seal import seal
from tocsin.audit.findings import AuditReport
from tocsin.core.durable import json_bytes, write_json
from tocsin.core.errors import InputError
from tocsin.core.language import GOLDEN_LIMITS, LanguageModel
from tocsin.core.plugins import resolve
from tocsin.core.recipe import Recipe
from tocsin.core.recipes import dump_recipe
from tocsin.core.types import Columns, Files, holds_text, untabulate
from tocsin.data.dataset import Dataset
from tocsin.data.splits import Fold
from tocsin.metrics.answers import EXACT, F1, Answered, AnswerReport, judge_answers
from tocsin.metrics.bootstrap import Resampling
from tocsin.serve.answer import write
from tocsin.workflows.judging.answers import parse_sealed
from tocsin.workflows.pages.answers import write_answers
from tocsin.workflows.training.kinds import ARTIFACT, Proof, RunResult, Tell
from tocsin.workflows.training.members import Parts, Trained
from tocsin.workflows.training.package import choose_rows, count_rows, readme_of
from tocsin.workflows.training.prepare import Prepared
from tocsin.workflows.training.provenance import make_origin, make_provenance
from tocsin.workflows.training.trackers import log_results
from tocsin.workflows.training.trials import Fitted

LEAST = 20
"""Test rows below which an interval says next to nothing."""
COMMON, NEAREST = "most common answer", "answer of the nearest question"


def check(prepared: Prepared, fold: Fold) -> None:
    """Refuse a detector without a language model, and too few rows to judge one on."""
    if prepared.detector.answer is None:
        raise InputError(f"detector {prepared.detector.name!r} names no language model: set its `answer`")
    rows = len(prepared.test(fold))
    if rows < LEAST:
        raise InputError(
            f"the test has {rows} rows; an answer is judged on {LEAST} at least: raise split.test"
        )


def check_parts(recipe: Recipe[Any], _parts: Parts) -> None:
    """Refuse what only a model of verdicts can be asked for."""
    section = recipe.evaluation
    asked = {"evaluation.baselines": section.baselines, "evaluation.thresholds_per": section.thresholds_per}
    for key, value in asked.items():
        if value:
            raise InputError(f"{key}: {recipe.detector} answers with texts, so leave it empty")


def prove(fitted: Fitted, findings: AuditReport, key: Path | None, tell: Tell) -> RunResult:
    """Write the answers to the test rows with what is sealed, judge them, and seal."""
    prepared, fold, job = fitted.prepared, fitted.fold, fitted.job
    trained = fitted.models[job.name]
    files = files_of(trained)
    model = load_model(prepared, files)
    test, train = prepared.test(fold), prepared.dataset.take(fold.train)
    tell(f"{job.name}: writing the answers to {len(test):,} test rows")
    answered = {
        job.name: Answered(answer(model, prepared, test), "model", count_numbers(trained)),
        **simple_answers(train, test),
    }
    section = job.recipe.evaluation
    how = Resampling(section.resamples, job.seed, group=prepared.group(fold, "test"))
    report = judge_answers(wanted(test), answered, how, section.smallest_difference, make_origin(fold, job))
    write_json(job.folder / "evaluation.json", report)
    page = write_answers(job.folder, report, findings)
    valid = prepared.dataset.take(fold.valid)
    manifest = _manifest(prepared, report, make_provenance(fold, job))
    files |= {
        RECIPE: dump_recipe(job.recipe).encode(),
        GOLDEN: _golden(model, prepared, valid, job.recipe.export.golden),
        "evaluation.json": json_bytes(report),
        "audit.json": json_bytes(findings.model_dump(mode="json")),
        "schema.json": json_bytes(prepared.schema.sample.model_json_schema()),
        "card.md": write_card(manifest, tell_answer(manifest, report), readme_of(prepared.detector)).encode(),
    }
    files |= {"bom.cdx.json": write_bom(manifest, files)}
    artifact = seal(job.folder / ARTIFACT, manifest, files, load_private_key(key) if key else None)
    known = {
        f"final/test_{n}": e.value for n, e in report.models[job.name].metrics.items() if e.value is not None
    }
    log_results(job.tracking, known, [job.folder / "evaluation.json", page])
    return RunResult(job.folder, fold.name, job.seed, page, job.folder / ARTIFACT, artifact.digest, report)


def files_of(trained: Trained) -> Files:
    """Return what is sealed of a model: the files that its plan packaged, else its weights; and its encoder's."""
    packaged = trained.packaged
    own = packaged if not isinstance(packaged, nn.Module) else {WEIGHTS: _weights(packaged)}
    encoder = {ENCODER + name: content for name, content in trained.parts.encoder.save().items()}
    return {**own, **encoder}


def _weights(model: nn.Module) -> bytes:
    state = {n: np.ascontiguousarray(t.detach().cpu().numpy()) for n, t in model.state_dict().items()}
    return save_safetensors(state)


def load_model(prepared: Prepared, files: Files) -> LanguageModel:
    """Load a language model as a server does."""
    load = cast(Callable[[Files], LanguageModel], resolve(prepared.detector.answer or ""))
    return load(files)


def answer(model: LanguageModel, prepared: Prepared, data: Dataset) -> list[str]:
    """Return the answers to all rows, under the limits of golden answers."""
    sample = prepared.schema.sample
    asked = (sample.model_validate(untabulate(data.columns, row)) for row in range(len(data)))
    return ["".join(write(model, one, GOLDEN_LIMITS)) for one in asked]


def wanted(data: Dataset) -> list[str]:
    """Return the answers that are wanted: the first column of the truth."""
    return [str(text) for text in next(iter(data.truth.values()))]


def simple_answers(train: Dataset, test: Dataset) -> dict[str, Answered]:
    """Return what two answerers say that learn nothing but the training rows themselves."""
    known = wanted(train)
    common = Counter(known).most_common(1)[0][0]
    return {
        COMMON: Answered([common] * len(test), "baseline", "the same text each time"),
        NEAREST: Answered(
            [known[row] for row in nearest(train.columns, test.columns)],
            "baseline",
            "of the training question with the likeliest character n-grams (TF-IDF, 2-4)",
        ),
    }


def nearest(train: Columns, test: Columns) -> np.ndarray:
    """Return for each test row, int64, the training row whose texts are most alike."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    names = [name for name, values in train.items() if holds_text(values)]
    said = [
        ["\n".join(filter(None, row)) for row in zip(*(side[name] for name in names), strict=True)]
        for side in (train, test)
    ]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
    likeness = vectors.fit(said[0]).transform(said[1]) @ vectors.transform(said[0]).T
    return np.asarray(likeness.argmax(axis=1)).ravel()


def count_numbers(trained: Trained) -> str:
    """Say how large the model is, and how much of it learned."""
    model = trained.stage.task.build()
    learns = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{sum(p.numel() for p in model.parameters()):,} parameters, {learns:,} of them trained"


def _golden(model: LanguageModel, prepared: Prepared, valid: Dataset, count: int) -> bytes:
    index = choose_rows(valid.columns, np.arange(len(valid)), count)
    chosen = valid.take(index)
    lines = [
        {"sample": untabulate(chosen.columns, row), "answer": text}
        for row, text in enumerate(answer(model, prepared, chosen))
    ]
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines).encode()


def _manifest(prepared: Prepared, report: AnswerReport, provenance: Any) -> Manifest:
    return Manifest(
        detector=prepared.detector.name,
        name=prepared.recipe.name,
        version="1",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sample=prepared.schema.name,
        runtime=prepared.detector.runtime,
        inputs=(),
        outputs=(),
        heads=(),
        calibration=None,
        metrics={n: e.model_dump() for n, e in report.models[report.primary].metrics.items()},
        data=count_rows(prepared.dataset),
        parity={},
        provenance=provenance,
        files={},
    )


def tell_answer(manifest: Manifest, report: AnswerReport) -> Told:
    """Return what the card says of a model that answers with texts."""
    doubts = [
        f"It is not shown to be better than the {c.other}."
        for c in report.comparisons
        if c.verdict != "better"
    ]
    limits = ["The numbers hold for questions like those of the test, answered greedily.", *doubts]
    text = (
        f"`{manifest.detector}` reads a `{manifest.sample}` and writes a text, the most probable token first."
    )
    return Told(
        text, {"Compared with simpler answerers": "\n".join(f"- {s}" for s in report.sentences())}, limits
    )


def reopen(artifact: Artifact) -> AnswerReport:
    """Return the evaluation that is sealed in an artifact."""
    return parse_sealed(artifact, "evaluation.json", AnswerReport)


def _nothing_more(_folder: Path, _recipe: Recipe[Any], _runs: Sequence[RunResult]) -> None:
    """Leave it at `summary.json`, which holds every run and their average."""


PROOF = Proof(
    check=check,
    check_parts=check_parts,
    prove=prove,
    reopen=reopen,
    sentences=AnswerReport.sentences,
    over_seeds=_nothing_more,
    columns={"token F1": F1, "exact match": EXACT},
    metrics=(F1, EXACT),
)
