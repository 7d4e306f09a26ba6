"""Turn a fitted member into a sealed artifact: what was proved is what is served."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from safetensors.numpy import save as save_safetensors

from tocsin.artifact.bom import write_bom
from tocsin.artifact.card import write_card
from tocsin.artifact.card_decision import tell_decision
from tocsin.artifact.keys import load_private_key
from tocsin.artifact.manifest import ENCODER, GOLDEN, ONNX, RECIPE, WEIGHTS, Manifest, Provenance, TensorSpec
from tocsin.artifact.open import Artifact
from tocsin.artifact.seal import seal
from tocsin.core.axes import cut, each_row
from tocsin.core.detector import Detector
from tocsin.core.durable import json_bytes
from tocsin.core.encoder import Asked, Calibration
from tocsin.core.errors import CheckFailed
from tocsin.core.heads import axes_of
from tocsin.core.kinds import Decision
from tocsin.core.private_data import name_private
from tocsin.core.recipes import dump_recipe
from tocsin.core.schema import Schema
from tocsin.core.types import Columns, Files, tabulate, take, untabulate
from tocsin.data.dataset import Dataset
from tocsin.data.texts import spoken
from tocsin.metrics.evaluation import EvaluationReport
from tocsin.monitor.heads import Answers
from tocsin.monitor.profile import PROFILE, Observed, dump_profile, profile
from tocsin.nn.sessions import open_session, score
from tocsin.workflows.readiness.scoring import score_unsealed
from tocsin.workflows.training.members import Member
from tocsin.workflows.training.prepare import Prepared

SKEW_ROWS = 10_000
PASSED = 50
"""Rows that are looked at for one golden sample whose texts say nothing private."""


@dataclass(frozen=True)
class Shown:
    """What was measured about the member, to be sealed with it."""

    evaluation: EvaluationReport
    audit: dict[str, Any]
    provenance: Provenance
    test: Dataset


def package(member: Member, prepared: Prepared, shown: Shown, folder: Path, key: Path | None) -> Artifact:
    """Seal a member into `folder`; CheckFailed when serving would see other features than training did."""
    compared = check_skew(member, prepared, shown.test.columns)
    if shown.evaluation.models[shown.evaluation.primary].threshold > 1:
        rate = member.job.recipe.evaluation.max_false_positive_rate
        raise CheckFailed(
            f"only flagging nothing keeps the false-positive rate at {rate}; nothing was packaged"
        )
    manifest = _manifest(member, prepared, shown)
    files = _files(member, shown, manifest.calibrated)
    told = tell_decision(manifest, shown.evaluation.model_dump(mode="json"))
    card = write_card(manifest, told, readme_of(prepared.detector))
    files |= {"card.md": card.encode(), "bom.cdx.json": write_bom(manifest, files)}
    files |= _readiness_files(manifest, files, prepared.schema, compared, is_signed=key is not None)
    return seal(folder, manifest, files, load_private_key(key) if key else None)


def check_skew(member: Member, prepared: Prepared, columns: Columns) -> int:
    """Send rows through the serving path (JSON body, sample, reloaded encoder) and hold the features equal to the byte.

    Rows are compared without the padding that none of them needs. Returns how many were: at most 10,000, evenly drawn.
    """
    total = len(next(iter(columns.values())))
    index = np.unique(np.linspace(0, total - 1, min(SKEW_ROWS, total)).astype(int))
    sample = prepared.schema.sample
    body = json.dumps([untabulate(columns, i) for i in index]).encode()
    samples = TypeAdapter(list[sample]).validate_json(body)  # type: ignore[valid-type]
    encoder = prepared.detector.load_encoder(member.parts.encoder.save())
    served, trained = (
        cut(arrays, encoder.axes)
        for arrays in (encoder.encode(tabulate(samples, sample)), take(member.parts.test.arrays, index))
    )
    for name, values in trained.items():
        if values.tobytes() != served[name].tobytes() or values.dtype != served[name].dtype:
            raise CheckFailed(
                f"training and serving disagree about the feature array {name!r}; nothing was packaged"
            )
    return len(index)


def _readiness_files(
    manifest: Manifest, files: Files, schema: Schema, compared: int, *, is_signed: bool
) -> Files:
    """Return the frozen schema, the record of the comparison, and the scorecard as training leaves it."""
    arrays = [spec.name for spec in manifest.inputs]
    records = {
        "schema.json": json_bytes(schema.sample.model_json_schema()),
        "skew.json": json_bytes({"rows": compared, "arrays": arrays}),
    }
    return records | {
        "scorecard.json": score_unsealed(manifest, files | records, schema, is_signed=is_signed)
    }


def _files(member: Member, shown: Shown, calibration: Calibration) -> Files:
    state = {} if member.model is None else member.model.state_dict()
    weights = {name: np.ascontiguousarray(tensor.detach().cpu().numpy()) for name, tensor in state.items()}
    own = {
        ONNX: member.onnx,
        RECIPE: dump_recipe(member.job.recipe).encode(),
        GOLDEN: golden(member, member.job.recipe.export.golden),
        PROFILE: dump_profile(profile(observe(member, calibration))),
        "evaluation.json": json_bytes(shown.evaluation),
        "audit.json": json_bytes(shown.audit),
    }
    own |= {WEIGHTS: save_safetensors(weights)} if weights else {}
    return own | {ENCODER + name: content for name, content in member.parts.encoder.save().items()}


def observe(member: Member, calibration: Calibration) -> Observed:
    """Return the validation rows as the model saw and answered them."""
    valid = member.parts.valid
    answers = Answers(member.valid, Asked(valid.columns, valid.arrays, member.heads), calibration)
    return Observed(answers, member.parts.encoder.watch(valid.arrays), valid.facets)


def golden(member: Member, count: int) -> bytes:
    """Return so many validation samples and their outputs as JSON lines, both classes among them.

    Rows with personal or secret data in their texts are passed over where others stand behind them.
    """
    valid = member.parts.valid
    sides = [np.flatnonzero(valid.label == value) for value in (1, 0)]
    index = np.concatenate([choose_rows(valid.columns, side, count // 2) for side in sides if len(side)])
    asked, axes = take(valid.arrays, index), axes_of(member.heads)
    outputs = score(open_session(member.onnx), asked, member.parts.encoder.axes, axes)
    lines = [
        {
            "sample": untabulate(valid.columns, row),
            "outputs": {name: values[0].tolist() for name, values in own.items()},
        }
        for row, own in zip(index, each_row(outputs, axes, asked), strict=True)
    ]
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines).encode()


def choose_rows(columns: Columns, side: np.ndarray, count: int) -> np.ndarray:
    """Return rows at even distances, each the next of PASSED that says nothing private, or else the first."""
    texts = [spoken(values) for values in columns.values() if values.dtype == object]

    def is_open(row: int) -> bool:
        return not any(any(name_private(values[row])) for values in texts if values[row])

    found: dict[int, None] = {}
    for place in np.linspace(0, len(side) - 1, min(count, len(side))).astype(int):
        beside = [row for row in side[place : place + PASSED].tolist() if row not in found]
        found[next(filter(is_open, beside), side[place].item())] = None
    return np.array(list(found), dtype=np.int64)


def _manifest(member: Member, prepared: Prepared, shown: Shown) -> Manifest:
    primary = shown.evaluation.models[shown.evaluation.primary]
    point = primary.operating_point
    session, kind = open_session(member.onnx), prepared.detector.kind
    assert isinstance(kind, Decision)
    return Manifest(
        detector=prepared.detector.name,
        name=prepared.recipe.name,
        version="1",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sample=prepared.schema.name,
        runtime=prepared.detector.runtime,
        inputs=tuple(_spec(node) for node in session.get_inputs()),
        outputs=tuple(_spec(node) for node in session.get_outputs()),
        heads=member.heads,
        calibration=Calibration(
            positive=kind.positive,
            negative=kind.negative,
            categories=member.parts.categories,
            temperature=member.temperature,
            threshold=primary.threshold,
            abstain_below=None if point.abstain is None else point.abstain.below,
            sliced_by=point.slices[0].by if point.slices else None,
            thresholds={s.name: s.threshold for s in point.slices},
        ),
        metrics={name: estimate.model_dump() for name, estimate in primary.metrics.items()},
        data=count_rows(prepared.dataset),
        parity=dict(member.parity),
        int8=member.int8,
        provenance=shown.provenance,
        files={},
    )


def _spec(node: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(name=node.name, dtype=node.type.removeprefix("tensor(").removesuffix(")"), shape=shape)


def count_rows(data: Dataset) -> dict[str, Any]:
    """Return what the manifest says about the rows."""
    positives = {"positives": int((data.label == 1).sum())} if "label" in data.truth else {}
    return {
        "rows": len(data),
        **positives,
        "sources": sorted({str(name) for name in data.source}),
        "refused_rows": len(data.refused),
        "repairs": dict(data.repairs),
    }


def readme_of(detector: Detector) -> str:
    """Return the README of a detector, or a few words in its place."""
    path = detector.folder / "README.md"
    if path.exists():
        return path.read_text(encoding="utf-8")
    return f"# {detector.name}\n\n{detector.summary}\n"
