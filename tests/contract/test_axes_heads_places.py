"""What every detector promises about axes, heads and places: ours, and the throw-away ones that prove the seam.

Nothing is trained: a model with random weights keeps these promises too, or none does.

Shapes: N rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from contract.test_detectors import DETECTORS, demo_schema
from tocsin.core.axes import Axes, Axis, cut, each_row
from tocsin.core.detector import Detector
from tocsin.core.encoder import Asked, Calibration, Encoder
from tocsin.core.heads import Head, axes_of, to_scale
from tocsin.core.kinds import Decision
from tocsin.core.plugins import load_detector, resolve
from tocsin.core.recipe import Recipe
from tocsin.core.recipes import load_recipe
from tocsin.core.schema import Schema
from tocsin.core.types import Arrays, Columns, Evidence, Place, column, rows, take
from tocsin.data.sources import Reading, read
from tocsin.engine.hardware import detect
from tocsin.engine.task import Part, PlanContext
from tocsin.nn.export import export_onnx, parity, sized
from tocsin.nn.sessions import call, open_session
from tocsin.serve.runtime import OnnxRuntime
from tocsin.workflows.training.package import _spec

TOYS = ("domains", "graphs", "pairs")
ROWS = 48
TOLERANCE = 1e-5

Run = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Case:
    """A detector with made rows and an untrained model of it."""

    detector: Detector
    encoder: Encoder
    columns: Columns
    arrays: Arrays
    heads: tuple[Head, ...]
    model: torch.nn.Module
    onnx: bytes


def recipe_of(name: str, detector: Detector) -> Recipe:
    if name in TOYS:
        content = yaml.safe_load((detector.folder / "recipes" / "default.yaml").read_text())
        return Recipe[detector.config].model_validate(content)  # type: ignore[name-defined]
    return load_recipe(detector.folder / "recipes" / "smoke.yaml", [], detect).recipe


def schema_of(name: str, detector: Detector) -> Schema:
    return next(iter(detector.schemas.values())) if name in TOYS else demo_schema(detector)


@pytest.fixture(scope="module", params=[*DETECTORS, *TOYS])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name = request.param
    detector = import_module(f"end_to_end.{name}").DETECTOR if name in TOYS else load_detector(name)
    recipe, schema = recipe_of(name, detector), schema_of(name, detector)
    data: Path = resolve(detector.demo)(tmp_path_factory.mktemp("demo"), 0)  # type: ignore[operator]
    dataset = read([data], schema, Reading(max_bad_rows=0.05)).take(np.arange(ROWS))
    encoder = detector.encoder(recipe.model, schema).fit(dataset.columns)
    arrays = encoder.encode(dataset.columns)
    part = Part(dataset.columns, arrays, dataset.truth, facets={"source": dataset.source})
    plan = resolve(detector.plan)(PlanContext(recipe, schema, encoder, part, part, seed=0))  # type: ignore[operator]
    torch.manual_seed(0)
    task = plan.steps[-1].task
    model, heads = task.build().eval(), plan.heads or task.heads
    onnx = export_onnx(model, take(arrays, np.arange(8)), [head.name for head in heads], encoder.axes)
    return Case(detector, encoder, dataset.columns, arrays, heads, model, onnx)


def misfits(heads: Sequence[Head], outputs: Arrays, arrays: Arrays) -> list[str]:
    """Return the outputs that are no heads, and the heads whose output has other axes than they say."""
    found = sorted({head.name for head in heads} ^ outputs.keys())
    for head in heads:
        if head.name in outputs:
            sizes = [arrays[axis.length].max() if isinstance(axis, Axis) else axis for axis in head.axes]
            shape = (rows(arrays), *sizes)
            found += [] if outputs[head.name].shape == shape else [f"{head.name}: {outputs[head.name].shape}"]
    return found


def widen(arrays: Arrays, axes: Axes, by: int = 3) -> Arrays:
    """Put more padding behind every row than any of them needs."""
    found = dict(arrays)
    for name, shape in axes.items():
        for place, axis in enumerate(shape, start=1):
            if isinstance(axis, Axis) and name in found:
                missing = [(0, 0)] * found[name].ndim
                missing[place] = (0, by)
                found[name] = np.pad(found[name], missing, constant_values=axis.pad)
    return found


def gap(run: Run, arrays: Arrays, other: Arrays, heads: Sequence[Head]) -> float:
    """Return the largest difference, on the scale that people read, between rows as they stand and among others.

    arrays: rows alone are cut from these; other: the same rows, put together or padded.
    """
    together = each_row(run(other), axes_of(heads), arrays)
    largest = 0.0
    for row, found in enumerate(together):
        alone = run(take(arrays, np.array([row])))
        for head in heads:
            assert alone[head.name].shape == found[head.name].shape, head.name
            pair = [to_scale(head, values[head.name]) for values in (alone, found)]
            largest = max(largest, float(np.abs(pair[0] - pair[1]).max(initial=0.0)))
    return largest


def misplaced(columns: Columns, row: int, places: Iterator[Place] | Sequence[Place]) -> list[str]:
    """Return the places that are in no field of the sample, or not within what it holds."""
    found = []
    for place in places:
        value = columns[place.where][row] if place.where in columns else None
        if place.where not in columns:
            found.append(f"{place}: no field")
        elif place.start is not None and not place.start < (place.stop or 0) <= len(value or ""):
            found.append(f"{place}: not within")
    return found


def misquoted(columns: Columns, row: int, evidence: Sequence[Evidence]) -> list[str]:
    """Return the passages of a text that are not quoted as they stand in it."""
    texts = [(piece, columns[piece.place.where][row]) for piece in evidence if piece.place.start is not None]
    return [
        piece.name
        for piece, text in texts
        if isinstance(text, str) and text[piece.place.start : piece.place.stop] != piece.value
    ]


def test_heads_are_the_outputs_of_the_model(case: Case) -> None:
    arrays = cut(case.arrays, case.encoder.axes)
    outputs = call(open_session(case.onnx), arrays)
    assert misfits(case.heads, outputs, arrays) == []
    assert len({head.name for head in case.heads}) == len(case.heads)


def test_the_model_answers_alike_in_and_out_of_pytorch(case: Case) -> None:
    gaps = parity(case.model, case.onnx, sized(case.arrays, case.encoder.axes), TOLERANCE, case.heads)
    assert {"1", "2", "7", str(ROWS)} <= gaps.keys()


def test_a_row_is_answered_alone_as_together_and_padded(case: Case) -> None:
    """The same through the serving runtime, and past it, where nothing is cut."""
    session, axes = open_session(case.onnx), case.encoder.axes
    specs = [tuple(map(_spec, nodes)) for nodes in (session.get_inputs(), session.get_outputs())]
    runtime = OnnxRuntime(case.onnx, *specs, axes, case.heads)
    runtime.tune(case.arrays)
    assert gap(runtime.run, case.arrays, case.arrays, case.heads) <= TOLERANCE
    plain = cut(case.arrays, axes)
    padded = widen(plain, axes)
    assert any(padded[n].shape != plain[n].shape for n in plain) == bool(axes), (
        "where sizes differ, it is padded"
    )

    def run(some: Arrays) -> Arrays:
        return call(session, cut(some, axes) if rows(some) == 1 else some)

    assert gap(run, plain, padded, case.heads) <= TOLERANCE


def test_hidden_parts_stand_in_the_sample(case: Case) -> None:
    for row in range(0, ROWS, 5):
        index = np.array([row])
        own = take(case.columns, index)
        places = [place for place, _ in case.encoder.hide(own, take(case.arrays, index))]
        assert misplaced(own, 0, places) == []


def test_evidence_of_the_decoder_stands_in_the_sample(case: Case) -> None:
    """Every row is called positive, and half of the places: so a decoder that shows places has some to show."""
    kind, axes = case.detector.kind, axes_of(case.heads)
    assert isinstance(kind, Decision)
    arrays = cut(case.arrays, case.encoder.axes)
    outputs = call(open_session(case.onnx), arrays)
    rng = np.random.default_rng(0)
    drawn = {name: rng.normal(size=values.shape).astype(np.float32) for name, values in outputs.items()}
    asked = Asked(case.columns, arrays, case.heads)
    verdicts = case.detector.decode(
        drawn, asked, Calibration(kind.positive, kind.negative, threshold=0.0), "d"
    )
    for row, verdict in enumerate(verdicts):
        assert misplaced(case.columns, row, [piece.place for piece in verdict.evidence]) == []
        assert misquoted(case.columns, row, verdict.evidence) == []
    shows_places = any(isinstance(axis, Axis) for shape in axes.values() for axis in shape)
    assert any(verdict.evidence for verdict in verdicts) == shows_places


PLACES = Axis("places", "length")


def test_a_head_that_is_no_output_is_found() -> None:
    arrays = {"length": np.array([2, 3])}
    heads = (
        Head("logit", "decision"),
        Head("marks", "tokens", (PLACES,)),
        Head("spans", "span", (PLACES, 2)),
    )
    outputs = {"logit": np.zeros(2), "marks": np.zeros((2, 3)), "spans": np.zeros((2, 3, 2))}
    assert misfits(heads, outputs, arrays) == []
    assert misfits(heads[:2], outputs, arrays) == ["spans"]
    assert misfits(heads, {**outputs, "marks": np.zeros((2, 4))}, arrays) == ["marks: (2, 4)"]
    assert misfits(heads, {**outputs, "logit": np.zeros((2, 1))}, arrays) == ["logit: (2, 1)"]


@pytest.mark.parametrize(
    ("answer", "is_caught"),
    [
        (lambda values, inside: np.where(inside, values, 0).sum(1), False),
        (lambda values, inside: values.sum(1), True),
        (lambda values, inside: np.where(inside, values, 0).sum(1) / values.shape[1], True),
        (lambda values, inside: np.where(inside, values, 0).sum(1) + len(values), True),
    ],
    ids=["reads its own places", "reads the padding", "counts the padding", "counts the rows"],
)
def test_a_model_that_sees_the_padding_or_its_neighbours_is_caught(answer: Callable, is_caught: bool) -> None:
    axes, length = {"values": (Axis("places", "length", pad=7),)}, np.array([1, 3])
    inside = np.arange(3) < length[:, None]
    arrays = {"values": np.where(inside, 0.5, 7.0), "length": length}

    def run(some: Arrays) -> Arrays:
        if rows(some) == 1:
            some = cut(some, axes)
        own = np.arange(some["values"].shape[1]) < some["length"][:, None]
        return {"logit": answer(some["values"], own)}

    found = gap(run, arrays, widen(arrays, axes), (Head("logit", "decision"),))
    assert (found > TOLERANCE) == is_caught


def test_a_place_that_is_not_in_the_sample_is_found() -> None:
    columns = {"text": column(["words", None], numeric=False), "level": np.array([1.0, 2.0])}
    good = [Place(where="text", start=0, stop=5), Place(where="level"), Place(where="text")]
    assert misplaced(columns, 0, good) == []
    wrong = [Place(where="texts"), Place(where="text", start=3, stop=6), Place(where="text", start=4)]
    assert misplaced(columns, 0, wrong) == [
        "texts: no field",
        "text[3:6]: not within",
        "text[4:]: not within",
    ]
    assert misplaced(columns, 1, good[:1]) == ["text[0:5]: not within"]
    quoted = [Evidence(kind="passage", place=good[0], value=value, weight=1.0) for value in ("words", "word")]
    assert misquoted(columns, 0, quoted[:1]) == []
    assert misquoted(columns, 0, quoted) == ["text[0:5]"]
