"""What the scorecard has to see a loaded model do: each function runs something and returns facts."""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import ValidationError

from tocsin.artifact.manifest import GOLDEN
from tocsin.audit.readiness.facts import Facts, Measurement
from tocsin.core.durable import jsonable
from tocsin.core.encoder import Asked
from tocsin.core.types import Columns, Sample, field_names, is_numeric, is_sequence, tabulate, take
from tocsin.serve.golden import read_golden
from tocsin.serve.predictor import NonFiniteOutput, Predictor
from tocsin.workflows.using.bench import BATCH, time_calls

CALLS, ROUNDS = 100, 3
REASONS = 5
EXTREMES = (0.0, 5e-324, 1e-300, 1.0, 2.0**31, 2.0**63, 1e38, 1.7976931348623157e308, -1.0, -1e308)
TEXTS = ("", "never-seen-in-training", "\u202e\U0001f980é", "x" * 64)
SEQUENCES: tuple[tuple[object, ...], ...] = ((),)
SHOWN = 24


def time_facts(act: Callable[[], Facts]) -> Measurement:
    """Run a measurement and time it."""
    start = perf_counter()
    facts = act()
    return Measurement(jsonable(facts), perf_counter() - start)


def measure_latency(predictor: Predictor) -> Facts:
    """Time singles and batches of 100; the best of three rounds, since others' load is not the model's."""
    pool = predictor.golden_samples()
    singles = [[pool[i % len(pool)]] for i in range(CALLS)]
    batches = [[pool[i % len(pool)] for i in range(BATCH)]] * (CALLS // 10)
    found: dict[str, Any] = {"rounds": ROUNDS}
    for name, calls in (("single", singles), ("batch", batches)):
        rounds = [np.percentile(time_calls(predictor, calls), (50, 99)).tolist() for _ in range(ROUNDS)]
        p50, p99 = min(rounds, key=lambda times: times[1])
        found |= {f"{name}_p50_ms": p50, f"{name}_p99_ms": p99, f"{name}_calls": len(calls)}
    return found


def measure_trace(predictor: Predictor) -> Facts:
    """Follow the first golden sample: fields, columns, arrays, outputs, verdict, reasons."""
    sample = predictor.golden_samples()[0]
    columns = tabulate([sample], predictor.schema.sample)
    arrays = predictor.encoder.encode(columns)
    outputs = predictor.runtime.run(arrays)
    verdict = predictor.decode(outputs, Asked(columns, arrays, predictor.heads))[0]
    served = predictor.predict([sample], explain=REASONS)[0]
    stages = {
        "sample": sample,
        "columns": {name: values.tolist() for name, values in columns.items()},
        "arrays": {name: values[0] for name, values in arrays.items()},
        "outputs": {name: values[0] for name, values in outputs.items()},
        "verdict": verdict,
        "reasons": served.evidence,
    }
    agrees = verdict.probability == served.probability
    return {"stages": list(stages), "agrees": agrees, "probability": verdict.probability, "trace": stages}


def measure_replay(predictor: Predictor) -> Facts:
    """Answer the golden samples again, and once more with a model that is loaded anew.

    That has to give the same bytes where each is asked alone: how many run at once is chosen at load, by time.
    """
    golden = read_golden(predictor.artifact.files.get(GOLDEN, b""), predictor.schema.sample)
    columns = tabulate([line.sample for line in golden], predictor.schema.sample)
    largest = 0.0
    for line, outputs in zip(golden, predictor.answer_rows(columns), strict=True):
        for name, values in outputs.items():
            wanted = line.outputs[name]
            gap = np.abs(values.ravel() - wanted) / np.maximum(1.0, np.abs(wanted))
            largest = max(largest, float(gap.max(initial=0.0)))
    again = Predictor.load(predictor.artifact)
    alone = (take(columns, np.array([row])) for row in range(len(golden)))
    equal = all(_bytes(predictor, row) == _bytes(again, row) for row in alone)
    return {"samples": len(golden), "largest_difference": largest, "reloads_equal": equal}


def _bytes(predictor: Predictor, columns: Columns) -> list[bytes]:
    return [values.tobytes() for _, values in sorted(predictor.outputs(columns).items())]


def measure_together(predictor: Predictor) -> Facts:
    """Compare each golden sample's probability alone, among all, and among all in reverse."""
    pool = predictor.golden_samples()
    alone = [predictor.predict([sample])[0].probability for sample in pool]
    together = [verdict.probability for verdict in predictor.predict(pool)]
    reverse = [verdict.probability for verdict in predictor.predict(pool[::-1])][::-1]
    gap = np.abs(np.array([together, reverse]) - np.array(alone)).max()
    return {"samples": len(pool), "largest_difference": float(gap)}


def measure_extremes(predictor: Predictor) -> Facts:
    """Ask about samples at the edges of what the schema lets through, and look for answers that are none."""
    base = predictor.golden_samples()[0].model_dump()
    answered, refused, broken = 0, 0, []
    for case, change in _extremes(predictor.schema.sample):
        try:
            sample = predictor.schema.sample.model_validate(base | change)
        except ValidationError:
            refused += 1
            continue
        answered += 1
        if not _has_answer(predictor, sample):
            broken.append(case)
    return {"answered": answered, "refused": refused, "broken": broken}


def _has_answer(predictor: Predictor, sample: Sample) -> bool:
    try:
        return 0 <= predictor.predict([sample])[0].probability <= 1
    except (NonFiniteOutput, ValidationError):  # a verdict's probability is checked as it is made
        return False


def _extremes(kind: type[Sample]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, changed fields): every field at every edge, then all fields at one edge together."""
    names = field_names(kind)
    numeric = [name for name in names if is_numeric(kind, name)]
    texts = [name for name in names if name not in numeric and not is_sequence(kind, name)]
    for name in names:
        yield f"{name} missing", {name: None}
        for value in EXTREMES if name in numeric else SEQUENCES if is_sequence(kind, name) else TEXTS:
            yield f"{name} = {str(value)[:SHOWN]!r}", {name: value}
    yield "everything missing", dict.fromkeys(names)
    for fields, edges in ((numeric, EXTREMES), (texts, TEXTS)):
        for edge in edges if fields else ():
            yield f"all {len(fields)} at once = {str(edge)[:SHOWN]!r}", dict.fromkeys(fields, edge)
