"""Pairs of text and criterion in one folder: a truth of its own, targets as long as their rows, spans as evidence."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from end_to_end.command import succeed, tocsin
from end_to_end.packages import install
from end_to_end.pairs.config import PairConfig
from end_to_end.pairs.decode import SPANS
from end_to_end.pairs.demo import MATTERS, make
from end_to_end.pairs.encode import NOWHERE, PairEncoder, cut_words, mark_spans, read_spans
from end_to_end.pairs.sample import SCHEMA, Pair
from end_to_end.pairs.training import plan, span_f1
from end_to_end.server import serving
from tocsin.artifact.open import open_artifact
from tocsin.core.axes import each_row
from tocsin.core.heads import axes_of
from tocsin.core.recipe import Recipe
from tocsin.core.types import Columns, Evidence, column, tabulate
from tocsin.data.clusters import near_duplicates
from tocsin.data.sources import read
from tocsin.engine.hardware import make_fabric
from tocsin.engine.loop import FitOptions, fit
from tocsin.engine.task import Part, PlanContext
from tocsin.serve.predictor import Predictor

HERE = Path(__file__).parent
RECIPE = Recipe[PairConfig].model_validate(
    yaml.safe_load((HERE / "pairs" / "recipes" / "default.yaml").read_text())
)
ASKED = Pair(
    text="They saw it. Coin price, then again the bread there; some refund with others.",
    criterion="Find every passage about money.",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("pairs", tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("made"), 0)


@pytest.fixture(scope="module")
def artifact(site: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector, trained and sealed by the ordinary verbs."""
    folder = tmp_path_factory.mktemp("work")
    succeed("new", "pairs", folder / "recipe.yaml", extra_path=site)
    sets = ["--set", f"data.train=[{data}]", "--set", f"output={folder / 'runs'}"]
    report = json.loads(succeed("train", folder / "recipe.yaml", *sets, "--json", extra_path=site))
    return Path(report["runs"][0]["artifact"])


@pytest.fixture(scope="module")
def predictor(artifact: Path, site: Path) -> Iterator[Predictor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield Predictor.load(open_artifact(artifact))


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Pairs that nobody trained on."""
    return [json.loads(line) for line in make(tmp_path_factory.mktemp("new"), 1, 60).read_text().splitlines()]


def samples(lines: Sequence[dict]) -> list[Pair]:
    return [Pair(text=line["text"], criterion=line["criterion"]) for line in lines]


def passages(evidence: Sequence[Evidence]) -> list[list[int]]:
    return [[piece.place.start, piece.place.stop] for piece in evidence]


def test_text_and_criterion_tell_together(artifact: Path) -> None:
    models = json.loads((artifact / "evaluation.json").read_text())["models"]
    auc = {name: model["metrics"]["roc_auc"]["value"] for name, model in models.items()}
    assert auc["model"] > 0.98
    assert auc["lightgbm"] < 0.6
    audit = json.loads((artifact / "audit.json").read_text())
    assert all((shortcut["roc_auc"] or 0.5) < 0.6 for shortcut in audit["shortcuts"])


def test_validation_reports_how_well_passages_are_found(artifact: Path) -> None:
    (history,) = artifact.parent.glob("models/model/fit/metrics_history.csv")
    header, *_, last = [line.split(",") for line in history.read_text().splitlines()]
    assert float(last[header.index("val_span_f1")]) > 0.95


def test_with_spans_shuffled_in_training_they_are_found_by_chance(data: Path, tmp_path: Path) -> None:
    """The verdict is still learned: its label is true. What tells a passage from its neighbours is gone."""
    dataset = read([data], SCHEMA)
    encoder = PairEncoder().fit(dataset.columns)
    whole = Part(dataset.columns, encoder.encode(dataset.columns), dataset.truth)
    train, valid = whole.take(np.arange(1_800)), whole.take(np.arange(1_800, 2_400))
    shuffled = replace(train, truth={**train.truth, "spans": shuffle(train.columns, train.truth["spans"])})
    found = {}
    for name, part in (("true", train), ("shuffled", shuffled)):
        (stage,) = plan(PlanContext(RECIPE, SCHEMA, encoder, part, valid, seed=0)).steps
        found[name] = fit(
            make_fabric(RECIPE.compute), stage, tmp_path / name, FitOptions(seed=0)
        ).report.metrics
    wanted = mark_spans(valid.truth["spans"], valid.arrays["characters"]) == 1
    moved = mark_spans(shuffle(valid.columns, valid.truth["spans"]), valid.arrays["characters"]) == 1
    chance = span_f1(moved, wanted)
    assert found["true"]["span_f1"] > 0.9
    assert found["shuffled"]["span_f1"] <= chance < 0.2


def shuffle(columns: Columns, spans: np.ndarray) -> np.ndarray:
    """Move each span to as many words elsewhere in its text."""
    rng, found = random.Random(0), []
    for text, own in zip(columns["text"], spans, strict=True):
        words, moved = [place for _, place in cut_words(text)], []
        for start, stop in own:
            first = rng.randrange(len(words))
            last = min(first + len(cut_words(text[start:stop])), len(words)) - 1
            moved.append((words[first][0], words[last][1]))
        found.append(tuple(moved))
    return column(found, numeric=False)


def test_spans_are_marked_on_the_words_of_the_text_and_read_back(lines: list[dict]) -> None:
    arrays = PairEncoder().encode(tabulate(samples(lines), Pair))
    spans = column([tuple(map(tuple, line["spans"])) for line in lines], numeric=False)
    marks = mark_spans(spans, arrays["characters"])
    assert ((marks == -1) == (arrays["characters"] == NOWHERE)).all()
    for row, line in enumerate(lines):
        places = arrays["characters"][row]
        found = [[places[first, 0], places[last, 1]] for first, last in read_spans(marks[row] == 1)]
        assert found == line["spans"]
    edges = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [1, 0]], dtype=bool)
    assert read_spans(edges) == [(0, 1)], "one that starts inside another, and one without an end, are none"


def test_a_verdict_shows_its_passages_and_a_negative_none(predictor: Predictor, lines: list[dict]) -> None:
    pairs = samples(lines)
    verdicts = predictor.predict(pairs)
    right = [
        v.label == ("meets" if line["meets"] else "does not") for v, line in zip(verdicts, lines, strict=True)
    ]
    assert sum(right) >= 0.95 * len(lines)
    exact = [passages(v.evidence) == line["spans"] for v, line in zip(verdicts, lines, strict=True)]
    assert sum(exact) >= 0.9 * len(lines)
    assert max(len(v.evidence) for v in verdicts) > 1
    for pair, verdict in zip(pairs, verdicts, strict=True):
        assert verdict.label == "meets" or not verdict.evidence
        for piece in verdict.evidence:
            assert (piece.kind, piece.place.where) == ("passage", "text")
            assert piece.value == pair.text[piece.place.start : piece.place.stop]


def test_the_criterion_decides_which_passages_are_shown(predictor: Predictor) -> None:
    shown = {}
    for matter in MATTERS:
        (verdict,) = predictor.predict(
            [Pair(text=ASKED.text, criterion=f"Find every passage about {matter}.")]
        )
        shown[matter] = [piece.value for piece in verdict.evidence]
    assert shown == {"money": ["Coin price", "refund"], "food": ["bread"], "weather": [], "travel": []}


def test_alone_together_and_padded_give_the_same_scores(predictor: Predictor, lines: list[dict]) -> None:
    columns, axes = tabulate(samples(lines), Pair), axes_of(predictor.heads)
    arrays = predictor.encoder.encode(columns)
    together = list(each_row(predictor.runtime.run(arrays), axes, arrays))
    for row, one in enumerate(together):
        alone = predictor.outputs({name: values[row : row + 1] for name, values in columns.items()})
        assert one[SPANS].shape == alone[SPANS].shape == (1, arrays["length"][row], 2)
        for name in alone:
            np.testing.assert_allclose(one[name], alone[name], rtol=1e-5, atol=1e-5)


def test_pairs_of_one_criterion_are_no_near_duplicates(lines: list[dict]) -> None:
    """The recipe compares texts alone. With the criterion, which is long and repeats, all would be one cluster."""
    rng = random.Random(0)
    policy = " ".join("".join(rng.choices("abcdefghijklmnoprstuvw", k=7)) for _ in range(80))
    texts = [f"{line['text'][:70]} {number}" for number, line in enumerate(lines)]
    columns = {
        "text": column(texts, numeric=False),
        "criterion": column([policy] * len(texts), numeric=False),
    }
    apart = near_duplicates(columns, RECIPE.split.digits, RECIPE.split.text)
    assert RECIPE.split.text == ("text",)
    assert len(set(apart)) > 0.9 * len(texts)
    assert len(set(near_duplicates(columns, RECIPE.split.digits, ("text", "criterion")))) == 1


def test_one_text_stays_on_one_side_whatever_is_asked() -> None:
    text = column(
        ["the rain and the bread that we saw there today"] * 2 + ["another tale of a coin"], numeric=False
    )
    asks = column(["money?", "food?", "money?"], numeric=False)
    first, second, other = near_duplicates({"text": text, "criterion": asks}, 3, RECIPE.split.text)
    assert first == second != other


def test_predict_verify_and_scan(artifact: Path, site: Path, lines: list[dict], tmp_path: Path) -> None:
    succeed("verify", artifact, extra_path=site)
    file = tmp_path / "new.jsonl"
    file.write_text("".join(json.dumps({n: line[n] for n in Pair.model_fields}) + "\n" for line in lines))
    succeed("predict", artifact, file, "--output", tmp_path / "verdicts.jsonl", extra_path=site)
    verdicts = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    told = tmp_path / "asked.txt"
    told.write_text("".join(f"{line['criterion']}: {line['text']}\n" for line in lines) + "asks nothing\n")
    done = tocsin("scan", "--artifact", artifact, told, "--format", "jsonl", extra_path=site)
    assert done.returncode == 10, done.stderr
    *found, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [f["target"] for f in found] == [f"{told}:{number}" for number in range(1, len(lines) + 1)]
    for scanned, predicted in zip(found, verdicts, strict=True):
        assert scanned["verdict"]["label"] == predicted["label"]
        assert same(scanned["verdict"]["evidence"]) == same(predicted["evidence"])
    assert last == {"target": f"{told}:{len(lines) + 1}", "error": "criterion: Field required"}


def same(evidence: list[dict]) -> list[tuple[str, str]]:
    return [(piece["name"], piece["value"]) for piece in evidence]


def test_it_is_served(artifact: Path, site: Path) -> None:
    with serving(artifact, extra_path=site) as server:
        answer = server.post("/v1/pairs/predict", ASKED.model_dump())
        refused = server.request("/v1/pairs/predict", {"text": "they saw it"})
    (verdict,) = answer["verdicts"]
    assert verdict["label"] == "meets"
    assert same(verdict["evidence"]) == [
        ("text[13:23]", "Coin price"), ("text[58:64]", "refund")
    ]  # fmt: skip
    assert refused.status == 422
