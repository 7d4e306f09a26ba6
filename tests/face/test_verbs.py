"""Training and judging from Python are the workflows of the command line, with the same answers and errors."""

import json
from pathlib import Path
from typing import Any

import pytest

import tocsin
from serve.toys import toy_artifact
from tocsin.face.model import Model, Opened
from tocsin.face.training import settings
from tocsin.serve.predictor import Predictor
from tocsin.workflows.judging.compare import CompareOptions, compare_artifacts
from tocsin.workflows.judging.evaluate import evaluate_artifact
from tocsin.workflows.using.stores import Source
from workflows import test_scan as mail

DATA = "data/labelled.csv"


def test_evaluate_answers_as_the_workflow_does(model: Model, here: Path) -> None:
    source = Source("runs/tiny/seed_1/artifact", Path("store"))
    wanted = evaluate_artifact(source, [DATA], "auto")
    for artifact in (model, "runs/tiny/seed_1/artifact"):
        found = tocsin.evaluate(artifact, Path(DATA))
        assert (found.digest, found.rows, found.evaluation) == (wanted.digest, wanted.rows, wanted.evaluation)
    with pytest.raises(tocsin.InputError, match="no layout 'unws' of 'flow'; did you mean 'unsw'"):
        tocsin.evaluate(model, DATA, layout="unws")


def test_compare_answers_as_the_workflow_does(model: Model, here: Path) -> None:
    names = [f"runs/tiny/seed_{seed}/artifact" for seed in (1, 2)]
    sources = [Source(name, Path("store")) for name in names]
    wanted = compare_artifacts(*sources, [DATA], CompareOptions(resamples=400, seed=7))
    found = tocsin.compare(names[0], names[1], [DATA], resamples=400, seed=7)
    assert (found.verdict, found.sentences, found.pair) == (wanted.verdict, wanted.sentences, wanted.pair)
    with pytest.raises(tocsin.InputError, match="both names are one artifact"):
        tocsin.compare(model, names[0], DATA)


def test_a_model_that_is_open_is_not_loaded_again(
    model: Model, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr(Predictor, "load", refuse)
    assert tocsin.evaluate(model, DATA).digest == model.digest
    with pytest.raises(AssertionError, match="loaded again"):
        tocsin.evaluate("runs/tiny/seed_1/artifact", DATA)


def test_train_takes_a_file_and_a_mapping_alike(page: Any, here: Path) -> None:
    kept = (here / "runs/tiny/recipe.yaml").read_text()
    told: list[str] = []
    for recipe in ("tiny.yaml", Path("tiny.yaml"), page.scope["recipe"]):
        result = tocsin.train(recipe, seeds=[1, 2], resume=True, tell=told.append)
        assert [run.seed for run in result.runs] == [1, 2]
    assert told.count("runs/tiny/seed_1: sealed already") == 3
    assert (here / "runs/tiny/recipe.yaml").read_text() == kept
    sources = json.loads((here / "runs/tiny/recipe_sources.json").read_text())
    assert (sources["model.width"], sources["seeds"]) == ("recipe", "--set")


def test_what_stands_over_a_recipe_is_refused_with_the_words_of_the_command_line(
    page: Any, here: Path
) -> None:
    recipe = page.scope["recipe"]
    for arguments, options, complaint in [
        (({"model.widht": 32},), {}, "--set: model.widht: there is no such key; did you mean 'width'?"),
        ((["model.width"],), {}, "--set model.width: write key=value, such as model.width=64"),
        ((), {"seeds": [1, 2]}, "runs/tiny holds a run already: go on with --resume"),
        ((), {"seeds": [1, 2], "output": "data/made-flows.csv"}, "data/made-flows.csv"),
    ]:
        with pytest.raises((tocsin.InputError, OSError)) as caught:
            tocsin.train(recipe, *arguments, **options)
        assert complaint in str(caught.value)
    with pytest.raises(tocsin.InputError, match=r"gone\.yaml: there is no such file"):
        tocsin.train("gone.yaml")
    with pytest.raises(TypeError, match="unexpected keyword argument 'resmue'"):
        tocsin.train(recipe, resmue=True)


def test_settings_are_read_back_as_they_were() -> None:
    from tocsin.core.yaml_text import parse_value

    values = {
        "a": 1e-05,
        "b": "é: x",
        "c": [1, 2],
        "d": None,
        "e": True,
        "f": {"g": 0.5},
        "h": "no",
        "i": "1e-4",
    }
    for text in settings(values):
        name, _, value = text.partition("=")
        assert parse_value(value, name) == values[name]
    assert settings("a=1") == settings(["a=1"]) == ["a=1"]
    assert settings({"data.train": [Path("x.csv")]}) == ['data.train=["x.csv"]']


def test_the_audit_is_the_one_of_the_command(here: Path) -> None:
    report = tocsin.audit_data("tiny.yaml", {"data.limit": 800, "name": "looked-at"})
    assert json.loads((here / "runs/looked-at/audit.json").read_text())["findings"] == [
        json.loads(finding.model_dump_json()) for finding in report.findings
    ]
    assert {finding.name for finding in report.findings} >= {"class balance"}


def test_scan_yields_a_finding_for_each_mail(tmp_path: Path) -> None:
    model = Model(Opened("toy", tmp_path, loaded=Predictor.load(mail.artifact())))
    for name, raw in (("phish.eml", mail.PHISH), ("ham.eml", mail.HAM)):
        (tmp_path / name).write_bytes(raw)
    found = list(model.scan([tmp_path / "phish.eml", tmp_path / "ham.eml", "gone.eml"], explain=1))
    assert [finding.verdict and finding.verdict.label for finding in found] == [
        "phishing",
        "legitimate",
        None,
    ]
    assert [len(finding.verdict.evidence) for finding in found[:2] if finding.verdict] == [1, 0]
    assert "gone.eml" in found[2].reason
    assert [finding.verdict for finding in model.scan(str(tmp_path / "ham.eml"))] == [found[1].verdict]


def test_scan_refuses_at_once_where_the_detector_reads_no_files(tmp_path: Path) -> None:
    model = Model(Opened("toy", tmp_path, loaded=Predictor.load(toy_artifact())))
    with pytest.raises(tocsin.InputError, match="detector 'toy' reads no raw files"):
        model.scan("inbox.mbox")
