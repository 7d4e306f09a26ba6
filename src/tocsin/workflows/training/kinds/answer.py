"""The kind `answer`: texts of a language model, judged word by word beside simpler answerers on the same test rows.

What is proved is what is sealed: the files are loaded as a server loads them, and every score is of answers that
this model wrote, the most probable token first.
"""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as save_safetensors
from torch import nn

from tocsin.artifact.bom import write_bom
from tocsin.artifact.card import Told, write_card
from tocsin.artifact.keys import load_private_key
from tocsin.artifact.manifest import (
    ENCODER,
    GOLDEN,
    MANIFEST,
    METADATA,
    RECIPE,
    SIGNATURE,
    WEIGHTS,
    Manifest,
)
from tocsin.artifact.open import Artifact
from tocsin.artifact.seal import seal
from tocsin.audit.findings import AuditReport
from tocsin.core.durable import json_bytes, write_json
from tocsin.core.errors import InputError
from tocsin.core.language import GOLDEN_LIMITS, LanguageModel
from tocsin.core.recipe import MODEL, Recipe
from tocsin.core.recipes import dump_recipe
from tocsin.core.types import Columns, Files, untabulate
from tocsin.core.types import rows as count
from tocsin.data.dataset import Dataset
from tocsin.data.splits import Fold
from tocsin.data.texts import text_columns
from tocsin.metrics.answers import EXACT, F1, Answered, AnswerReport, judge_answers
from tocsin.metrics.bootstrap import Resampling
from tocsin.serve.answer import write
from tocsin.serve.chat import loader_of
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
BLOCK = 256
"""Test rows that are compared with all training rows at once, so that it takes bounded memory."""
WRITTEN = {MANIFEST, METADATA, SIGNATURE, "bom.cdx.json"}
"""What is written behind the other files."""
COMMON, NEAREST = "most common answer", "answer of the nearest question"


def check(prepared: Prepared, fold: Fold) -> None:
    """Refuse a detector without a language model, answers that are no texts, and too few rows to judge one on."""
    detector = prepared.detector
    if detector.runtime != "chat":
        raise InputError(f"detector {detector.name!r} answers with texts: set its `runtime` to chat")
    loader_of(detector)
    name = next(iter(prepared.schema.truth.model_fields))
    if name not in text_columns(prepared.dataset.take(fold.train).truth):
        raise InputError(f"the answers are the first field of the truth, and {name!r} holds no text")
    rows = fold.facts["rows"]["test"]  # counted when they were divided: who makes a trial may not touch them
    if rows < LEAST:
        raise InputError(
            f"the test has {rows} rows; an answer is judged on {LEAST} at least: raise split.test"
        )


def check_parts(recipe: Recipe[Any], _parts: Parts) -> None:
    """Refuse what only a model of verdicts can be asked for."""
    section = recipe.evaluation
    asked = {
        "evaluation.baselines": section.baselines,
        "evaluation.thresholds_per": section.thresholds_per,
        "evaluation.abstain": section.abstain,
        "export.ship": recipe.export.ship != MODEL,
        "export.int8": recipe.export.int8,
    }
    for key, value in asked.items():
        if value:
            raise InputError(f"{key}: {recipe.detector} answers with texts, so leave it out")


def prove(fitted: Fitted, findings: AuditReport, key: Path | None, tell: Tell) -> RunResult:
    """Write the answers to the test rows with what is sealed, judge them, and seal."""
    fold, job = fitted.fold, fitted.job
    report = judge_fold(fitted, tell)
    write_json(job.folder / "evaluation.json", report)
    page = write_answers(job.folder, report, findings)
    artifact = package(fitted, report, findings, key)
    metrics = report.models[job.name].metrics
    final = {f"final/test_{name}": e.value for name, e in metrics.items() if e.value is not None}
    log_results(job.tracking, final, [job.folder / "evaluation.json", page])
    return RunResult(job.folder, fold.name, job.seed, page, job.folder / ARTIFACT, artifact.digest, report)


def judge_fold(fitted: Fitted, tell: Tell) -> AnswerReport:
    """Judge the model beside its variants and simpler answerers on the test rows."""
    prepared, fold, job = fitted.prepared, fitted.fold, fitted.job
    test, section = prepared.test(fold), job.recipe.evaluation
    answered = write_test(fitted, tell) | simple_answers(prepared.dataset.take(fold.train), test)
    how = Resampling(section.resamples, job.seed, group=prepared.group(fold, "test"))
    return judge_answers(wanted(test), answered, how, section.smallest_difference, make_origin(fold, job))


def package(fitted: Fitted, report: AnswerReport, findings: AuditReport, key: Path | None) -> Artifact:
    """Seal the model with its golden answers and what was found out about it."""
    prepared, fold, job = fitted.prepared, fitted.fold, fitted.job
    own = files_of(fitted.models[job.name])
    model, valid = loader_of(prepared.detector)(own), prepared.dataset.take(fold.valid)
    manifest = _manifest(prepared, report, make_provenance(fold, job))
    card = write_card(manifest, tell_answer(manifest, report), readme_of(prepared.detector))
    written = {
        RECIPE: dump_recipe(job.recipe).encode(),
        GOLDEN: _golden(model, prepared, valid, job.recipe.export.golden),
        "evaluation.json": json_bytes(report),
        "audit.json": json_bytes(findings.model_dump(mode="json")),
        "schema.json": json_bytes(prepared.schema.sample.model_json_schema()),
        "card.md": card.encode(),
    }
    files = joined(own, written, job.recipe.detector)
    files |= {"bom.cdx.json": write_bom(manifest, files)}
    return seal(job.folder / ARTIFACT, manifest, files, load_private_key(key) if key else None)


def files_of(trained: Trained) -> Files:
    """Return what is sealed of a model: the files that its plan packaged, else its weights; and its encoder's."""
    packaged = trained.packaged
    own = packaged if not isinstance(packaged, nn.Module) else {WEIGHTS: _weights(packaged)}
    encoder = {ENCODER + name: content for name, content in trained.parts.encoder.save().items()}
    return joined(own, encoder, trained.job.recipe.detector)


def _weights(model: nn.Module) -> bytes:
    state = {n: np.ascontiguousarray(t.detach().cpu().numpy()) for n, t in model.state_dict().items()}
    return save_safetensors(state)


def joined(own: Files, written: Files, detector: str) -> Files:
    """Return both; InputError where a plan packages a file under a name that is taken."""
    taken = sorted(own.keys() & {*written, *WRITTEN})
    if taken:
        raise InputError(
            f"{detector} packages {taken[0]!r}, which tocsin writes itself: give it another name"
        )
    return own | written


def write_test(fitted: Fitted, tell: Tell) -> dict[str, Answered]:
    """Return what each fitted model answers to the test rows, loaded from the files that would be sealed."""
    prepared, found = fitted.prepared, {}
    test, load = prepared.test(fitted.fold), loader_of(prepared.detector)
    for name, trained in fitted.models.items():
        tell(f"{name}: writing the answers to {len(test):,} test rows")
        texts = answer(load(files_of(trained)), prepared, test)
        found[name] = Answered(texts, "model", count_numbers(trained))
    return found


def answer(model: LanguageModel, prepared: Prepared, data: Dataset) -> list[str]:
    """Return the answers to all rows, under the limits of golden answers; InputError names a row without one."""
    sample, found = prepared.schema.sample, []
    for row, name in enumerate(data.ids):
        asked = sample.model_validate(untabulate(data.columns, row))
        try:
            found.append("".join(write(model, asked, GOLDEN_LIMITS)))
        except InputError as error:
            raise InputError(f"{name}: the model does not answer it: {error}") from None
    return found


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
            "the answer to the training question that is most alike in character n-grams (TF-IDF, 2-4)",
        ),
    }


def nearest(train: Columns, test: Columns) -> np.ndarray:
    """Return for each test row, int64, the training row whose fields are most alike."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
    known = vectors.fit_transform(said(train)).T.tocsr()
    asked = vectors.transform(said(test))
    blocks = [asked[start : start + BLOCK] @ known for start in range(0, asked.shape[0], BLOCK)]
    return np.concatenate([np.asarray(block.argmax(axis=1)).ravel() for block in blocks])


def said(columns: Columns) -> list[str]:
    """Return each row as one text, a line a field; a missing value says nothing."""
    rows = (untabulate(columns, row).values() for row in range(count(columns)))
    return ["\n".join(str(value) for value in row if value is not None) for row in rows]


def count_numbers(trained: Trained) -> str:
    """Say how large the model of the last stage is, and how much of it that stage trains."""
    sizes = [(p.numel(), p.requires_grad) for p in trained.stage.task.build().parameters()]
    learns = sum(size for size, trains in sizes if trains)
    whole = sum(size for size, _ in sizes)
    return f"{whole:,} parameters, {learns:,} of which the stage {trained.stage.name!r} trains"


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
    how = f"answered greedily and cut behind {GOLDEN_LIMITS.tokens} tokens"
    limits = [f"The numbers hold for questions like those of the test, {how}.", *doubts]
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
