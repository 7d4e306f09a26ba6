"""Rows in, verdicts out."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import polars as pl

from tocsin.core.durable import replacing
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.plugins import load_detector
from tocsin.core.types import Verdict
from tocsin.data.dataset import Dataset
from tocsin.data.sources import Reading, read
from tocsin.workflows.using.stores import Source

FORMATS = (".csv", ".parquet", ".jsonl")


def predict_rows(
    source: Source, data: Sequence[str], output: Path | None, *, layout: str, explain: int
) -> dict[str, Any]:
    """Write a verdict for every row that can be read, and count the rows that could not; returns the counts."""
    if output is not None and output.suffix not in FORMATS:
        raise InputError(
            f"{output}: unknown ending{did_you_mean(output.suffix, list(FORMATS))} (one of {', '.join(FORMATS)})"
        )
    predictor = source.predictor()
    manifest = predictor.artifact.manifest
    schema = load_detector(manifest.detector).schemas[manifest.sample]
    dataset = read(data, schema, Reading(layout=layout, labelled=False))
    verdicts = predictor.predict_columns(dataset.columns, explain=explain)
    positive = _write(_records(dataset, verdicts), output, manifest.calibrated.positive)
    return {
        "rows": len(dataset),
        "positive": positive,
        "label": manifest.calibrated.positive,
        "refused": len(dataset.refused),
        "refused_rows": [f"{bad.file}:{bad.line}: {bad.reason}" for bad in dataset.refused],
        "artifact": predictor.artifact.digest,
    }


def _records(dataset: Dataset, verdicts: Iterable[Verdict]) -> Iterator[dict[str, Any]]:
    for row, verdict in zip(dataset.ids, verdicts, strict=True):
        yield {"id": row} | verdict.model_dump(mode="json")


def _write(records: Iterator[dict[str, Any]], output: Path | None, label: str) -> int:
    if output is None:
        return _lines(records, sys.stdout.buffer, label)
    with replacing(output) as file:
        if output.suffix == ".jsonl":
            return _lines(records, file, label)
        flat = [r | {"evidence": json.dumps(r["evidence"], ensure_ascii=False)} for r in records]
        frame = pl.DataFrame(flat, infer_schema_length=None)
        _ = frame.write_csv(file) if output.suffix == ".csv" else frame.write_parquet(file)
    return sum(record["label"] == label for record in flat)


def _lines(records: Iterator[dict[str, Any]], file: IO[bytes], label: str) -> int:
    positive = 0
    for record in records:
        positive += record["label"] == label
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return positive
