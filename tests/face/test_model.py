"""An open model: the same verdicts in every form of rows, errors that name the row and the field, what is sealed."""

import copy
import pickle
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import tocsin
from tocsin.artifact.keys import make_keys
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.store import Store
from tocsin.core.types import Sample
from tocsin.face.model import Model
from tocsin.face.rows import BLOCK, names_of, read_samples
from tocsin.serve.body import Reader
from tocsin.serve.problems import Problem


@pytest.fixture(scope="module")
def rows(model: Model) -> list[dict[str, Any]]:
    return model.examples


def test_rows_get_the_same_verdicts_in_every_form(model: Model, rows: list[dict[str, Any]]) -> None:
    verdicts = model.predict(rows)
    assert len({verdict.probability for verdict in verdicts}) > 1
    forms: list[Any] = [tuple(rows), iter(rows), pl.DataFrame(rows), pd.DataFrame(rows)]
    forms.append([model.sample.model_validate(row) for row in rows])
    forms.append(pl.DataFrame(rows).select(reversed(model.fields)))
    forms.append(
        [{name: np.float64(v) if isinstance(v, float) else v for name, v in row.items()} for row in rows]
    )
    for form in forms:
        assert model.predict(form) == verdicts
    assert [model.predict(row) for row in rows[:4]] == verdicts[:4]


def test_no_rows_get_no_verdicts(model: Model, rows: list[dict[str, Any]]) -> None:
    assert model.predict([]) == []
    assert model.predict(pl.DataFrame(rows).clear()) == []


def test_missing_is_none_in_dicts_and_what_a_frame_writes_for_it(
    model: Model, rows: list[dict[str, Any]]
) -> None:
    absent = [{**rows[0], "forward_packets": None, "service": None}, rows[1]]
    verdicts = model.predict(absent)
    assert verdicts[0] != model.predict(rows[0])
    frame = pd.DataFrame(absent)
    assert frame["forward_packets"].isna().tolist() == [True, False]
    assert model.predict(frame) == verdicts
    assert model.predict(frame.convert_dtypes()) == verdicts
    assert model.predict(pl.DataFrame(absent)) == verdicts


def test_evidence_comes_with_explain_alone(model: Model, rows: list[dict[str, Any]]) -> None:
    assert model.predict(rows[0]).evidence == ()
    weights = [abs(piece.weight) for piece in model.predict(rows[0], explain=3).evidence]
    assert len(weights) == 3
    assert weights == sorted(weights, reverse=True)
    with pytest.raises(
        tocsin.InputError, match="explain is how many reasons a verdict has, 0 or more, not -1"
    ):
        model.predict(rows[0], explain=-1)


WRONG_VALUES = [
    ({"forward_packets": "many"}, "row 1: forward_packets: Input should be a valid number, not 'many'"),
    ({"forward_packets": "12"}, "row 1: forward_packets: Input should be a valid number, not '12'"),
    ({"forward_packets": True}, "row 1: forward_packets: Input should be a valid number, not True"),
    ({"forward_packets": -1}, "row 1: forward_packets: Input should be greater than or equal to 0, not -1"),
    (
        {"forward_packets": float("nan")},
        "row 1: forward_packets: Input should be a finite number, not nan; None says that it is not known",
    ),
    ({"service": 80}, "row 1: service: Input should be a valid string, not 80"),
    ({"service": "x" * 65}, "row 1: service: String should have at most 64 characters, not 'xxx"),
    ({"service": datetime(2024, 1, 1, tzinfo=UTC)}, "row 1: service: datetime.datetime(2024, 1, 1"),
    ({"service": b"dns"}, "row 1: service: b'dns' is no number, text or list"),
    ({"forward_bytes": Decimal(1)}, "row 1: forward_bytes: Decimal('1') is no number, text or list"),
    ({"servise": "dns"}, "row 1: 'servise' is no field of 'flow'; did you mean 'service'?"),
    (
        {"forward_packets": "a", "forward_bytes": "b"},
        "row 1: forward_packets: Input should be a valid number, not 'a' (and 1 more)",
    ),
    ({"service": "\ud800"}, "row 1: service: 'utf-8' codec can't encode character"),
    ({"forward_packets": float("inf")}, "row 1: forward_packets: Input should be a finite number, not inf"),
    ({"forward_packets": 10**400}, "row 1: forward_packets: Input should be a finite number, not 1000"),
]


@pytest.mark.parametrize(("change", "complaint"), WRONG_VALUES)
def test_a_wrong_value_is_named_by_row_and_field(
    change: dict[str, Any], complaint: str, model: Model, rows: list[dict[str, Any]]
) -> None:
    with pytest.raises(tocsin.InputError) as caught:
        model.predict([rows[0], rows[1] | change, rows[2]])
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named(model: Model, rows: list[dict[str, Any]]) -> None:
    short = {name: value for name, value in rows[0].items() if name != "service"}
    with pytest.raises(
        tocsin.InputError, match=r"^row 0: service is missing; None says that it is not known$"
    ):
        model.predict(short)
    with pytest.raises(
        tocsin.InputError, match=r"^row 0: 'servise' is no field of 'flow'; did you mean 'service'"
    ):
        model.predict(short | {"servise": "dns"})


def test_the_row_is_counted_through_all_blocks(model: Model, rows: list[dict[str, Any]]) -> None:
    many = [rows[0]] * (BLOCK + 7)
    many.append({**rows[0], "service": 1})
    for form in (many, pd.DataFrame(many)):
        with pytest.raises(tocsin.InputError, match=f"^row {BLOCK + 7}: service: "):
            model.predict(form)


def test_the_columns_of_a_frame_are_held_to_the_fields(model: Model, rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows)
    twice = pd.DataFrame(rows)
    twice = pd.concat([twice, twice[["service"]]], axis=1)
    for form, complaint in [
        (frame.drop("service"), "the frame lacks the column 'service' of 'flow'"),
        (
            frame.drop("service", "forward_bytes"),
            "the frame lacks the columns 'forward_bytes', 'service' of 'flow'",
        ),
        (
            frame.rename({"service": "Service"}),
            "the frame lacks the column 'service' of 'flow'; did you mean 'service'?",
        ),
        (
            frame.with_columns(label=1).to_pandas(),
            "the frame has the column 'label', which 'flow' does not read; select `model.fields`",
        ),
        (twice, "the frame has the column 'service' more than once"),
        (frame.lazy(), "the rows are a lazy frame: collect it first"),
    ]:
        with pytest.raises(tocsin.InputError) as caught:
            model.predict(form)
        assert str(caught.value) == complaint


@pytest.mark.parametrize("wrong", ["flows.csv", b"{}", 3, None, Path("flows.csv")])
def test_what_is_no_rows_is_refused(wrong: Any, model: Model) -> None:
    with pytest.raises(tocsin.InputError, match=r"^rows are dicts, or a frame of polars or pandas, not "):
        model.predict(wrong)
    with pytest.raises(tocsin.InputError, match=r"^row 0: "):
        model.predict([wrong])


def test_a_row_is_read_as_the_server_reads_it(model: Model, rows: list[dict[str, Any]]) -> None:
    """What one of the two refuses, the other does too."""
    import json

    reader = Reader(model.sample, 10)
    fine = [
        {},
        {"forward_packets": 3},
        {"forward_packets": None},
        {"service": "é"},
        {"forward_packets": 1e300},
    ]
    wrong = [
        change
        for change, _ in WRONG_VALUES
        if not isinstance(next(iter(change.values())), datetime | bytes | Decimal)
    ]
    for change in fine:
        body = rows[0] | change
        assert reader.read(json.dumps(body).encode()) == list(
            next(read_samples([body], model.source.loaded.schema))
        )
    for change in wrong:
        body = rows[0] | change
        with pytest.raises(Problem):
            reader.read(json.dumps(body).encode())


def test_a_field_that_is_a_sequence_takes_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    class Graph(Sample):
        nodes: tuple[int, ...]
        name: str = ""

    from tocsin.core.schema import Schema

    schema = Schema("graph", Graph, {})
    forms: list[Any] = [[{"nodes": [1, 2]}], [{"nodes": np.array([1, 2])}], pl.DataFrame({"nodes": [[1, 2]]})]
    for form in forms:
        assert list(read_samples(form, schema)) == [[Graph(nodes=(1, 2))]]
    with pytest.raises(
        tocsin.InputError, match=r"^row 0: nodes.1: Input should be a valid integer, not 'b'$"
    ):
        list(read_samples([{"nodes": [1, "b"]}], schema))
    with pytest.raises(tocsin.InputError, match=r"^row 0: nodes is missing$"):
        list(read_samples([{}], schema))


def test_it_tells_what_is_sealed(model: Model, artifact: Path) -> None:
    assert model.card == (artifact / "card.md").read_text()
    assert model.report.primary in model.report.models
    assert model.classes == ("normal", "attack")
    assert model.calibration.threshold == model.predict(model.examples[0]).threshold
    assert model.digest == model.predict(model.examples[0]).artifact
    assert model.fields == list(model.sample.model_fields)
    assert repr(model) == f"Model(intrusion 'tiny', sample 'flow', digest {model.digest[:12]})"


def test_a_copy_is_the_model_itself_and_a_pickle_opens_it_again(
    model: Model, artifact: Path, tmp_path: Path
) -> None:
    assert copy.deepcopy(model) is model
    again = pickle.loads(pickle.dumps(model))
    assert again is not model
    assert again.predict(model.examples) == model.predict(model.examples)
    moved = tmp_path / "moved"
    shutil.copytree(artifact, moved)
    kept = pickle.dumps(tocsin.open(moved))
    shutil.rmtree(moved)
    shutil.copytree(artifact.parents[1] / "seed_2" / "artifact", moved)
    with pytest.raises(tocsin.CheckFailed, match="is no longer the artifact"):
        pickle.loads(kept)


def test_it_opens_by_alias_and_by_key(artifact: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.promote(f"intrusion:{store.add(artifact)}", "champion")
    found = tocsin.open("intrusion@champion", store=tmp_path / "store")
    assert found.digest == tocsin.open(str(artifact)).digest
    make_keys(tmp_path / "a.pem", tmp_path / "a.pub.pem")
    with pytest.raises(ArtifactError, match="it is not signed"):
        tocsin.open(artifact, key=tmp_path / "a.pub.pem")
    with pytest.raises(ArtifactError, match="no public key was given"):
        tocsin.open(artifact, require_signature=True)


def test_a_changed_artifact_is_not_opened(artifact: Path, tmp_path: Path) -> None:
    shutil.copytree(artifact, tmp_path / "changed")
    with (tmp_path / "changed" / "card.md").open("a") as card:
        card.write(" ")
    with pytest.raises(tocsin.InputError, match=r"'card\.md' was changed"):
        tocsin.open(tmp_path / "changed")


def test_names_of_files() -> None:
    assert names_of("a.csv") == names_of(Path("a.csv")) == ["a.csv"]
    assert names_of([Path("a.csv"), "b.csv"]) == ["a.csv", "b.csv"]
