"""What a feature costs and what it takes to add one.

Shapes: B rows.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Annotated, Any

import numpy as np
from pydantic import TypeAdapter, create_model

from tocsin.audit.readiness.facts import Facts
from tocsin.core.recipes import parse_recipe
from tocsin.core.schema import Schema
from tocsin.core.types import Columns, Sample, column, field_names, is_numeric, rows, tabulate, take
from tocsin.serve.predictor import Predictor

ADDED = "added_for_the_exercise"
HIDDEN_ROWS = 16


def measure_cost(predictor: Predictor) -> Facts:
    """Return the cost table of the fields of the sample, from the golden samples.

    Milliseconds a row: `own` to check the field's value and make its column, `shared` an equal part of
    encoding and inference. Bytes: the field's part of one row's columns. `benefit`: mean |shift| of the logit
    when the field is hidden, null where the encoder hides no part of that name.
    """
    pool, kind = predictor.golden_samples(), predictor.schema.sample
    columns = tabulate(pool, kind)
    whole = _milliseconds(lambda: predictor.runtime.run(predictor.encoder.encode(columns))) / len(pool)
    shared = whole / len(field_names(kind))
    shifts = _hidden_shifts(predictor, take(columns, np.arange(min(HIDDEN_ROWS, len(pool)))))
    found = []
    for name in field_names(kind):
        own = _own_milliseconds(kind, name, [getattr(sample, name) for sample in pool])
        cost = {"milliseconds": own + shared, "own": own, "shared": shared}
        found.append({"name": name, **cost, "bytes": _bytes(columns[name]), "benefit": shifts.get(name)})
    return {"rows": len(pool), "features": found}


def _milliseconds(act: Callable[[], object]) -> float:
    start = perf_counter()
    act()
    return (perf_counter() - start) * 1000


def _own_milliseconds(kind: type[Sample], name: str, values: Sequence[Any]) -> float:
    """Time a field as a request brings it: its value checked alone, and made into a column; the best of three."""
    field = kind.model_fields[name]
    checked: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(checked)

    def read() -> None:
        column([adapter.validate_python(value) for value in values], is_numeric(kind, name))

    return min(_milliseconds(read) for _ in range(3)) / len(values)


def _bytes(values: np.ndarray) -> float:
    if values.dtype != object:
        return float(values.itemsize)
    return float(np.mean([len(str(value).encode()) for value in values]))


def _hidden_shifts(predictor: Predictor, columns: Columns) -> dict[str, float]:
    shifts: dict[str, list[float]] = {}
    for i in range(rows(columns)):
        row = take(columns, np.array([i]))
        arrays = predictor.encoder.encode(row)
        for place, fall in predictor.falls(row, arrays, predictor.runtime.run(arrays)):
            shifts.setdefault(place.where, []).append(abs(fall))
    return {name: float(np.mean(values)) for name, values in shifts.items()}


def _widen(kind: type[Sample]) -> type[Sample]:
    fields: dict[str, Any] = {ADDED: (float | None, None)}
    return create_model(kind.__name__, __base__=kind, **fields)


def measure_addition(predictor: Predictor) -> Facts:
    """Add a number to the sample, fit an encoder on it, and see whether it arrives and how long that takes.

    Nothing but the sample's class is changed, so this is what a person has to edit. `reads_fields` is False
    for an encoder whose features are not fields: then nothing can be said.
    """
    start = perf_counter()
    kind = predictor.schema.sample
    wider = _widen(kind)
    schema = Schema(predictor.schema.name, wider, predictor.schema.layouts, predictor.schema.truth)
    config = parse_recipe(predictor.artifact.files["recipe.yaml"].decode(), "recipe.yaml").model
    golden = [sample.model_dump() for sample in predictor.golden_samples()]
    columns = tabulate([wider.model_validate({**s, ADDED: float(i)}) for i, s in enumerate(golden)], wider)
    encoder = predictor.detector.encoder(config, schema).fit(columns)
    again = predictor.detector.load_encoder(encoder.save())
    names = again.flatten(again.encode(columns))[1]
    described = ADDED in wider.model_json_schema()["properties"]
    reads = set(field_names(kind)) <= set(names)
    reached = described and ADDED in names
    return {
        "reads_fields": reads,
        "reached": reached,
        "seconds": perf_counter() - start,
        "features": len(names),
    }
