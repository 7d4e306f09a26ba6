"""What a model that answers with texts must prove: what is refused before training, what is judged, what is sealed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import nn

from tocsin.artifact.manifest import Manifest
from tocsin.core.detector import Detector
from tocsin.core.errors import InputError
from tocsin.core.kinds import Answer
from tocsin.core.language import Limits
from tocsin.core.provenance import Origin
from tocsin.core.recipe import DataSection, Recipe, StageSection
from tocsin.core.schema import Schema
from tocsin.core.types import Columns, Files, Sample, column
from tocsin.data.dataset import Dataset
from tocsin.data.splits import Fold
from tocsin.metrics.answers import EXACT, F1, Answered, AnswerReport, judge_answers
from tocsin.metrics.bootstrap import Resampling
from tocsin.workflows.training.kinds import answer as kind
from tocsin.workflows.training.kinds import proof_of
from tocsin.workflows.training.members import Trained
from tocsin.workflows.training.prepare import Prepared
from tocsin.workflows.training.summary import model_rows
from tocsin.workflows.training.trials import Fitted

ROWS, TEST = 80, 30


class Word(Sample):
    text: str | None = None
    number: float | None = None


class Reply(Sample):
    answer: str | None = None


class Marked(Sample):
    mark: bool | None = None
    answer: str | None = None


class Nothing(BaseModel):
    """No settings."""


class Echo:
    """Says what it was asked behind what its files say, a letter at a time."""

    def __init__(self, before: str) -> None:
        self.before = before

    def stream(self, sample: Sample, limits: Limits) -> Iterator[str]:
        text = str(sample.model_dump()["text"])
        if text == "unheard of":
            raise InputError("more than this model reads")
        yield from self.before + text


def load(files: Files) -> Echo:
    return Echo(files["before.txt"].decode())


def unused(*_given: Any) -> Any:
    raise AssertionError("nobody encodes here")


DETECTOR = Detector(
    name="echo",
    summary="says it again",
    kind=Answer(),
    schemas={"word": Schema("word", Word, {}, truth=Reply)},
    config=Nothing,
    encoder=unused,
    load_encoder=unused,
    decode=unused,
    plan="nowhere:plan",
    stages=("fit",),
    folder=Path(__file__).parent,
    demo="nowhere:make",
    runtime="chat",
    answer=f"{__name__}:load",
)
FOLD = Fold(
    "main",
    np.arange(TEST + 10, ROWS),
    np.arange(TEST, TEST + 10),
    np.arange(TEST),
    "f" * 64,
    {"rows": {"train": ROWS - TEST - 10, "valid": 10, "test": TEST}},
)


def dataset(texts: list[str | None], answers: list[Any], name: str = "answer") -> Dataset:
    count = len(texts)
    numeric = not isinstance(answers[0], str)
    return Dataset(
        columns={"text": column(texts, numeric=False), "number": column([None] * count, numeric=True)},
        truth={name: column(answers, numeric=numeric)},
        ids=column([f"words.csv:{i + 2}" for i in range(count)], numeric=False),
        source=column(["words.csv"] * count, numeric=False),
    )


def words() -> Dataset:
    texts: list[str | None] = [f"word {i}" for i in range(ROWS)]
    return dataset(texts, [f"word {i}" for i in range(ROWS)])


def recipe(**sections: Any) -> Recipe[Nothing]:
    stages = {"fit": StageSection.model_validate({"length": "1 steps"})}
    data = DataSection(sample="word", train=("words.csv",))
    return Recipe[Nothing](
        detector="echo", name="echo", data=data, model=Nothing(), stages=stages, **sections
    )


def prepared(detector: Detector = DETECTOR, rows: Dataset | None = None) -> Prepared:
    schema = detector.schema("word")
    return Prepared(detector, recipe(), schema, rows or words(), None, None, (FOLD,))


def test_it_is_found_by_the_kind_of_the_detector() -> None:
    assert proof_of(DETECTOR) is kind.PROOF


def test_what_can_be_judged_is_not_refused() -> None:
    kind.check(prepared(), FOLD)
    kind.check_parts(recipe(), cast(Any, None))


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (replace(DETECTOR, runtime="onnx"), "detector 'echo' answers with texts: set its `runtime` to chat"),
        (replace(DETECTOR, answer=None), "detector 'echo' has no language model: its `answer` names none"),
        (
            replace(DETECTOR, answer="tocsin.nowhere:load"),
            "the language model of 'echo' cannot be imported here: No module named 'tocsin.nowhere'",
        ),
        (
            replace(DETECTOR, answer=f"{__name__}:lod"),
            f"the language model of 'echo' cannot be imported here: module '{__name__}' has no attribute 'lod'",
        ),
    ],
)
def test_a_detector_without_a_language_model_is_refused(changed: Detector, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        kind.check(prepared(changed), FOLD)
    assert str(caught.value) == fault


def test_answers_that_are_no_texts_are_refused() -> None:
    schema = Schema("word", Word, {}, truth=Marked)
    marked = replace(DETECTOR, schemas={"word": schema})
    rows = dataset(["a"] * ROWS, [1.0] * ROWS, "mark")
    with pytest.raises(InputError, match="first field of the truth, and 'mark' holds no text"):
        kind.check(prepared(marked, rows), FOLD)


class Poison:
    """Test rows that nobody may look at."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"somebody looked at the test rows: {name}")

    def __len__(self) -> int:
        raise AssertionError("somebody counted the test rows")


def test_few_test_rows_are_refused_and_nobody_looks_at_them() -> None:
    """A trial makes the same check, and it may not touch the test."""
    spoilt: Any = Poison()
    hidden = replace(FOLD, test=spoilt)
    kind.check(prepared(), hidden)
    facts = {"rows": {"train": 40, "valid": 10, "test": 19}}
    with pytest.raises(InputError, match=r"the test has 19 rows; .* 20 at least: raise split\.test"):
        kind.check(prepared(), replace(hidden, facts=facts))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("evaluation", "baselines", ("majority",)),
        ("evaluation", "thresholds_per", "text"),
        ("evaluation", "abstain", 0.1),
        ("export", "ship", "majority"),
        ("export", "int8", True),
    ],
)
def test_what_only_verdicts_have_is_refused(section: str, key: str, value: object) -> None:
    asked = recipe(**{section: {key: value}})
    with pytest.raises(InputError, match=rf"^{section}\.{key}: echo answers with texts, so leave it out$"):
        kind.check_parts(asked, cast(Any, None))


class EchoTask:
    def build(self) -> nn.Module:
        frozen = nn.Linear(3, 2).requires_grad_(requires_grad=False)
        return nn.Sequential(frozen, nn.Linear(2, 1))


def trained(name: str, packaged: nn.Module | Files, encoder: Files | None = None) -> Trained:
    """A fitted model, of which only what is judged and sealed is there."""
    saves = SimpleNamespace(save=lambda: encoder or {})
    job: Any = SimpleNamespace(name=name, recipe=recipe(), seed=42, folder=Path("runs"))
    parts: Any = SimpleNamespace(encoder=saves)
    stage: Any = SimpleNamespace(name="fit", task=EchoTask())
    nobody: Any = None
    return Trained(job, parts, stage, (), packaged, nobody, 0.0)


def fitted(rows: Dataset, **models: Files) -> Fitted:
    found = {name: trained(name, files) for name, files in models.items()}
    return Fitted(prepared(rows=rows), FOLD, found[next(iter(found))].job, found)


def test_a_variant_is_judged_beside_the_model_and_both_beside_simple_answerers() -> None:
    told: list[str] = []
    report = kind.judge_fold(
        fitted(words(), model={"before.txt": b""}, shouting={"before.txt": b"o "}), told.append
    )
    assert list(report.models) == ["model", "shouting", kind.COMMON, kind.NEAREST]
    exact = {name: scores.metrics[EXACT].value for name, scores in report.models.items()}
    assert exact == {"model": 1.0, "shouting": 0.0, kind.COMMON: 0.0, kind.NEAREST: 0.0}
    assert [c.other for c in report.comparisons] == ["shouting", kind.COMMON, kind.NEAREST]
    assert {c.verdict for c in report.comparisons} == {"better"}
    assert told == [f"{name}: writing the answers to {TEST} test rows" for name in ("model", "shouting")]


def test_a_row_that_the_model_does_not_read_is_named() -> None:
    rows = words()
    rows.columns["text"][3] = "unheard of"
    with pytest.raises(
        InputError, match=r"^words\.csv:5: the model does not answer it: more than this model"
    ):
        kind.judge_fold(fitted(rows, model={"before.txt": b""}), lambda _text: None)


def test_an_answer_is_cut_where_golden_ones_are() -> None:
    (text,) = kind.answer(Echo(""), prepared(), dataset(["x" * 100], ["y"]))
    assert text == "x" * 64


@pytest.mark.parametrize("name", ["evaluation.json", "golden.jsonl", "manifest.json", "encoder/words.json"])
def test_a_plan_may_not_package_what_tocsin_writes(name: str) -> None:
    own = trained("model", {"before.txt": b"", name: b"{}"}, {"words.json": b"[]"})
    with pytest.raises(InputError, match=f"^echo packages '{name}', which tocsin writes itself"):
        kind.joined(kind.files_of(own), {"evaluation.json": b"", "golden.jsonl": b""}, "echo")


def test_the_weights_of_a_module_are_sealed_beside_its_encoder() -> None:
    from safetensors.torch import load as load_tensors

    model = nn.Linear(3, 2)
    files = kind.files_of(trained("model", model, {"words.json": b"[]"}))
    assert sorted(files) == ["encoder/words.json", "model.safetensors"]
    read = load_tensors(files["model.safetensors"])
    assert all(torch.equal(read[name], value) for name, value in model.state_dict().items())


def test_the_size_of_a_model_says_how_much_of_it_the_last_stage_trains() -> None:
    said = kind.count_numbers(trained("model", {}))
    assert said == "11 parameters, 3 of which the stage 'fit' trains"


# The simple answerers


def test_the_nearest_question_is_found_in_any_block() -> None:
    texts: list[str | None] = [f"question number {i} {chr(97 + i % 26) * 3}" for i in range(700)]
    train = dataset(texts, ["x"] * 700).columns
    order = np.random.default_rng(0).permutation(700)
    assert len(order) > 2 * kind.BLOCK
    test = {name: values[order] for name, values in train.items()}
    assert kind.nearest(train, test).tolist() == order.tolist()


def test_the_nearest_question_may_be_of_numbers_and_missing_texts() -> None:
    def columns(texts: list[str | None], numbers: list[float]) -> Columns:
        return {"text": column(texts, numeric=False), "number": column(numbers, numeric=True)}

    train = columns(["port", None, None], [22.0, 443.0, float("nan")])
    assert kind.nearest(train, columns([None, "port"], [443.0, float("nan")])).tolist() == [1, 0]
    only: Columns = {"number": column([1234.0, 5678.0], numeric=True)}
    assert kind.nearest(only, {"number": column([5678.0], numeric=True)}).tolist() == [1]


def test_the_most_common_answer_is_that_of_the_training_rows() -> None:
    train, test = dataset(["a", "b", "c"], ["no", "yes", "yes"]), dataset(["a", "a"], ["no", "no"])
    found = kind.simple_answers(train, test)
    assert found[kind.COMMON].texts == ["yes", "yes"]
    assert found[kind.NEAREST].texts == ["no", "no"]


# What is told


def report(**answers: list[str]) -> AnswerReport:
    wanted = ["one two", "three four"] * 20
    origin = Origin(run="r", seed=1, recipe_sha256="a", data_fingerprint="b", git_commit=None, git_dirty=None,
                    created_at="2026-01-01T00:00:00+00:00")  # fmt: skip
    answered = {name: Answered(texts * 20, "model", "") for name, texts in answers.items()}
    return judge_answers(wanted, answered, Resampling(100, 1), 0.01, origin)


def test_the_card_doubts_what_was_not_shown() -> None:
    manifest = cast(Manifest, SimpleNamespace(detector="echo", sample="word"))
    sure = kind.tell_answer(manifest, report(model=["one two", "three four"], other=["no", "no"]))
    assert len(sure.limits) == 1
    assert "cut behind 64 tokens" in sure.limits[0]
    doubtful = kind.tell_answer(manifest, report(model=["no", "no"], other=["one two", "three four"]))
    assert doubtful.limits[1:] == ["It is not shown to be better than the other."]


def test_the_model_comes_first_in_the_table_of_a_sealed_run_too() -> None:
    """JSON keeps names in their order in the alphabet."""
    made = report(model=["one two", "no"], answer=["no", "no"])
    reopened = AnswerReport.model_validate(made.model_dump() | {"models": dict(sorted(made.models.items()))})
    assert list(reopened.models) == ["answer", "model"]
    assert [row[0] for row in model_rows(reopened, (F1, EXACT))] == ["model", "answer"]
