"""What every detector of ours promises, whoever wrote it: one test per promise, parametrised by the folders."""

import json
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from tocsin import detectors
from tocsin.core.axes import cut, join
from tocsin.core.detector import Detector
from tocsin.core.encoder import Asked, Calibration, Encoder
from tocsin.core.heads import LOGIT
from tocsin.core.kinds import Decision
from tocsin.core.plugins import detector_names, load_detector, resolve
from tocsin.core.recipe import Recipe
from tocsin.core.types import Arrays, Columns, rows, tabulate, take, untabulate
from tocsin.data.sources import Reading, read

FOLDER = str(Path(detectors.__file__).parent)
DETECTORS = sorted(module.name for module in iter_modules([FOLDER]) if module.ispkg)
"""Not `detector_names()`: it also lists the plug-ins that other tests of this process put beside them."""


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> Detector:
    return load_detector(request.param)


@pytest.fixture(scope="module")
def columns(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Columns:
    """The first 300 made rows."""
    data = resolve(detector.demo)(tmp_path_factory.mktemp("demo"), 0)  # type: ignore[operator]
    return take(read([data], demo_schema(detector), Reading(max_bad_rows=0.05)).columns, np.arange(300))


def default_recipe(detector: Detector) -> Recipe:
    content = yaml.safe_load((detector.folder / "recipes" / "default.yaml").read_text())
    return Recipe[detector.config].model_validate(content)  # type: ignore[name-defined]


def demo_schema(detector: Detector):
    content = yaml.safe_load((detector.folder / "recipes" / "demo.yaml").read_text())
    return detector.schemas[content["data"]["sample"]]


@pytest.fixture(scope="module")
def encoder(detector: Detector, columns: Columns) -> Encoder:
    return detector.encoder(default_recipe(detector).model, demo_schema(detector)).fit(columns)


def equal(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(
        a[k].tobytes() == b[k].tobytes() and a[k].dtype == b[k].dtype for k in a
    )


def test_every_folder_is_found_by_its_name() -> None:
    assert {"intrusion", "phishing"} <= set(DETECTORS) <= set(detector_names())


def test_the_default_recipe_says_every_key(detector: Detector) -> None:
    content = yaml.safe_load((detector.folder / "recipes" / "default.yaml").read_text())
    complete = default_recipe(detector).model_dump(mode="json")
    assert missing(complete, content) == []


def missing(complete: object, said: object, where: str = "") -> list[str]:
    """Return the keys of `complete` that `said` leaves to the schema's defaults."""
    if not isinstance(complete, dict):
        return []
    assert isinstance(said, dict), where
    absent = [f"{where}{key}" for key in complete if key not in said]
    return absent + [
        m for key in complete if key in said for m in missing(complete[key], said[key], f"{where}{key}.")
    ]


def test_the_check_of_the_default_recipe_can_fail() -> None:
    assert missing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}) == ["a.c"]


def test_every_field_and_key_is_described(detector: Detector) -> None:
    fields = {f"{s.name}.{n}": f for s in detector.schemas.values() for n, f in s.sample.model_fields.items()}
    fields |= {f"model.{name}": field for name, field in detector.config.model_fields.items()}
    assert [name for name, field in fields.items() if not field.description] == []


def test_a_sample_survives_json(detector: Detector, columns: Columns) -> None:
    kind = demo_schema(detector).sample
    body = json.dumps([untabulate(columns, i) for i in range(rows(columns))]).encode()
    again = tabulate(TypeAdapter(list[kind]).validate_json(body), kind)
    for name, values in columns.items():
        same = (again[name] == values) | ((again[name] != again[name]) & (values != values))
        assert same.all(), name


def test_a_row_is_encoded_alone_as_among_others(encoder: Encoder, columns: Columns) -> None:
    together = encoder.encode(columns)
    for i in range(0, rows(columns), 7):
        index = np.array([i])
        assert equal(encoder.encode(take(columns, index)), take(together, index))


def test_a_saved_encoder_encodes_the_same(detector: Detector, encoder: Encoder, columns: Columns) -> None:
    files = encoder.save()
    assert all(name.endswith((".json", ".safetensors")) for name in files)
    assert equal(detector.load_encoder(files).encode(columns), encoder.encode(columns))


def test_axes_say_how_long_each_row_is(encoder: Encoder, columns: Columns) -> None:
    """What stands behind a row's own size is padding, and cutting it away loses nothing."""
    arrays = encoder.encode(columns)
    for name, shape in encoder.axes.items():
        for place, axis in enumerate(shape, start=1):
            if isinstance(axis, int):
                assert arrays[name].shape[place] == axis
                continue
            behind = np.arange(arrays[name].shape[place]) >= arrays[axis.length][:, None]
            assert (np.moveaxis(arrays[name], place, 1)[behind] == axis.pad).all()
    whole = cut(arrays, encoder.axes)
    pieces = [cut(take(arrays, np.array([row])), encoder.axes) for row in range(rows(columns))]
    assert equal(join(pieces, encoder.axes), whole)


def test_flat_features_are_named_numbers(encoder: Encoder, columns: Columns) -> None:
    matrix, names, categorical = encoder.flatten(encoder.encode(columns))
    assert matrix.shape == (rows(columns), len(names)) == (rows(columns), len(categorical))
    assert matrix.dtype == np.float32
    assert not np.isinf(matrix).any()


def test_hiding_a_part_changes_the_arrays(encoder: Encoder, columns: Columns) -> None:
    row = take(columns, np.array([0]))
    one = encoder.encode(row)
    hidden = list(encoder.hide(row, one))
    assert len({str(place) for place, _ in hidden}) == len(hidden) > 0
    assert {place.where for place, _ in hidden} <= set(columns), "a place is in a field of the sample"
    changed = sum(not equal(arrays, one) for _, arrays in hidden)
    assert changed > len(hidden) // 2


def test_what_is_watched_is_one_number_a_row(encoder: Encoder, columns: Columns) -> None:
    arrays = encoder.encode(columns)
    together = encoder.watch(arrays)
    assert together
    for values in together.values():
        assert values.dtype == np.float64
        assert values.shape == (rows(columns),)
        assert np.isfinite(values).all()
    assert any(len(set(values.tolist())) > 1 for values in together.values())
    for i in range(0, rows(columns), 29):
        index = np.array([i])
        assert equal(dict(encoder.watch(take(arrays, index))), dict(take(together, index)))


def test_decoding_follows_the_threshold(detector: Detector) -> None:
    kind = detector.kind
    assert isinstance(kind, Decision)
    calibration = Calibration(kind.positive, kind.negative, temperature=2.0, threshold=0.6, abstain_below=0.5)
    asked = Asked({}, {}, (LOGIT,))
    logit = np.array([-800.0, 0.1, 2.0, 800.0], dtype=np.float32)
    verdicts = detector.decode({"logit": logit}, asked, calibration, "digest")
    assert [v.label for v in verdicts] == [kind.negative] * 2 + [kind.positive] * 2
    assert [v.probability for v in verdicts] == pytest.approx(
        [0, 1 / (1 + np.exp(-0.05)), 1 / (1 + np.exp(-1)), 1]
    )
    assert {v.artifact for v in verdicts} == {"digest"}


def test_demo_data_is_the_same_for_the_same_seed(detector: Detector, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
    make = resolve(detector.demo)
    contents = [make(folder, seed).read_bytes() for folder, seed in zip(folders, (1, 1, 2), strict=True)]  # type: ignore[operator]
    assert contents[0] == contents[1] != contents[2]


def test_the_readme_states_licence_and_limits(detector: Detector) -> None:
    text = (detector.folder / "README.md").read_text().lower()
    assert "licence" in text
    assert "limit" in text
