"""Several seeds, slices with thresholds of their own and a band for a person; then: compare, and replay the numbers."""

import csv
import html
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from end_to_end.command import succeed, tocsin
from end_to_end.recipe import sets, write_recipe
from end_to_end.server import serving
from tocsin.artifact.open import open_artifact
from tocsin.artifact.seal import seal
from tocsin.core.errors import CheckFailed, InputError
from tocsin.metrics.classification import judge, measure
from tocsin.serve.predictor import Predictor
from tocsin.workflows.judging.answers import read_rows, unseen_ids
from tocsin.workflows.judging.compare import CompareOptions, Comparison, compare_artifacts
from tocsin.workflows.judging.evaluate import evaluate_artifact
from tocsin.workflows.judging.replay import ReplayResult, replay
from tocsin.workflows.pages.report import write_evaluation
from tocsin.workflows.readiness.evidence import read_evidence
from tocsin.workflows.training.train import TrainOptions, train_recipe
from tocsin.workflows.using.stores import Source

SETS = [
    "model.width=16", "model.layers=1", "model.heads=2", "model.feedforward=16",
    "stages.pretrain.length=0 steps", "stages.finetune.length=40 steps", "stages.finetune.batch_size=128",
    "stages.finetune.optim.learning_rate=0.01", "evaluation.resamples=100", "hardware=cpu",
    "evaluation.max_false_positive_rate=0.05", "evaluation.confidence=null",
    "evaluation.thresholds_per=service", "evaluation.abstain=0.1",
    "evaluation.daily_volume=5000", "evaluation.baselines=[majority, logistic]",
]  # fmt: skip
ORIGIN = {"run", "seed", "recipe_sha256", "data_fingerprint", "git_commit", "git_dirty", "created_at"}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with made data and a recipe that was trained with two seeds."""
    folder = tmp_path_factory.mktemp("work")
    write_recipe(folder, rows=3000)
    succeed("train", folder / "recipe.yaml", *sets(*SETS), "--seeds", "1,2")
    return folder


@pytest.fixture(scope="module")
def data(work: Path) -> Path:
    return work / "made-flows.csv"


def artifact(work: Path, seed: int) -> Path:
    return work / "runs" / "small" / f"seed_{seed}" / "artifact"


def report(work: Path, seed: int = 1) -> dict:
    return json.loads((artifact(work, seed) / "evaluation.json").read_text())


# Several seeds


def test_the_summary_has_the_names_and_numbers_that_the_source_systems_fixed(work: Path) -> None:
    found = json.loads((work / "runs" / "small" / "production_summary.json").read_text())
    assert {"timestamp", "models", "best_overall_model", "best_overall_f1"} < set(found)
    for name, model in found["models"].items():
        assert {"mean_f1", "std_f1", "seeds", "best_seed", "best_f1"} < set(model)
        f1 = [report(work, seed)["models"][name]["metrics"]["f1"]["value"] for seed in (1, 2)]
        assert model["mean_f1"] == pytest.approx(sum(f1) / 2)
        assert model["best_f1"] == pytest.approx(max(f1))
        assert model["best_seed"] == (1, 2)[f1.index(max(f1))]
        assert set(model["metrics"]) >= {"f1", "recall", "precision", "accuracy"}
    best = max(found["models"], key=lambda n: found["models"][n]["mean_f1"])
    assert found["best_overall_model"] == best
    assert found["best_overall_f1"] == found["models"][best]["mean_f1"]
    assert {(c["other"], c["metric"]) for c in found["comparisons"]} == {
        (other, metric) for other in ("majority", "logistic") for metric in ("f1", "recall", "roc_auc")
    }


def test_every_number_says_what_made_it(work: Path, tmp_path: Path) -> None:
    folder = work / "runs" / "small"
    runs = json.loads((folder / "production_summary.json").read_text())["runs"]
    assert [set(run) for run in runs] == [ORIGIN | {"fold"}] * 2
    summary = json.loads((folder / "summary.json").read_text())["runs"]
    assert [set(run["provenance"]) for run in summary] == [ORIGIN] * 2
    assert [run["provenance"]["seed"] for run in summary] == [1, 2]
    for path in (folder / "seed_1" / "reports").glob("*.json"):
        assert set(json.loads(path.read_text())["provenance"]) == ORIGIN, path
    with (folder / "training_stability.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {(line["seed"], line["stage"]) for line in lines} == {("1", "finetune"), ("2", "finetune")}
    assert all(line["recipe_sha256"] == runs[0]["recipe_sha256"] for line in lines)
    page = (folder / "production_report.md").read_text()
    assert all(run["data_fingerprint"][:12] in page for run in runs)


def test_the_figures_are_there(work: Path) -> None:
    for name in ("metrics_comparison.png", "f1_by_seed.png"):
        content = (work / "runs" / "small" / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000


def test_the_scores_of_every_row_give_the_reported_numbers(work: Path) -> None:
    table = pl.read_parquet(work / "runs" / "small" / "seed_1" / "test_scores.parquet")
    for name, model in report(work)["models"].items():
        limits = table[f"threshold: {name}"].to_numpy()
        judged = judge(table["label"].to_numpy(), table[f"probability: {name}"].to_numpy(), 0.5, limits)
        for metric in ("f1", "roc_auc", "false_positive_rate"):
            assert measure(judged)[metric] == pytest.approx(model["metrics"][metric]["value"])


# Thresholds of slices and the band, from training to an answer of the server


def test_the_server_decides_as_the_report_says(work: Path, data: Path, tmp_path: Path) -> None:
    point = report(work)["models"]["model"]["operating_point"]
    own = {s["name"]: s["threshold"] for s in point["slices"]}
    assert len(own) >= 3
    succeed("predict", artifact(work, 1), data, "-o", tmp_path / "v.parquet")
    verdicts = pl.read_parquet(tmp_path / "v.parquet")
    golden = [
        json.loads(line)["sample"] for line in (artifact(work, 1) / "golden.jsonl").read_text().splitlines()
    ]
    with serving(artifact(work, 1)) as server:
        served = server.post("/v1/intrusion/predict", golden)["verdicts"]
        assert server.request("/v1/intrusion").body["thresholds"] == {"by": "service", "values": own}
    for sample, verdict in zip(golden, served, strict=True):
        threshold = own.get(sample["service"], point["threshold"])
        assert verdict["threshold"] == threshold
        assert (verdict["label"] == "attack") == (verdict["probability"] >= threshold)
        assert verdict["abstain"] == (point["abstain"]["below"] <= verdict["probability"] < threshold)
    assert set(verdicts["threshold"].unique()) <= {*own.values(), point["threshold"]}
    assert verdicts["abstain"].any()


def test_the_band_holds_what_it_was_chosen_to_hold(work: Path) -> None:
    band = report(work)["models"]["model"]["operating_point"]["abstain"]
    assert band["max_share"] == 0.1
    assert band["negatives_to_a_person"]["value"] < 0.2
    assert band["recall_alone"] < band["recall_with_a_person"]["value"] <= 1
    assert band["negatives_a_day"]["value"] == pytest.approx(5000 * band["negatives_to_a_person"]["value"])


def refused(work: Path, *changes: str) -> str:
    """Train with changes that must be refused before anything is written; return the reason."""
    chosen = [*SETS, *changes, "name=refused"]
    with pytest.raises(InputError) as error:
        train_recipe(work / "recipe.yaml", chosen, TrainOptions(force=True), tell=str)
    assert not list((work / "runs" / "refused").glob("seed_*"))
    return str(error.value)


def test_a_column_that_no_request_carries_is_refused_before_training(work: Path) -> None:
    reason = refused(work, "evaluation.thresholds_per=source")
    assert "'source' is no text field of a sample" in reason
    assert "service" in reason


def test_confidence_is_refused_before_training_with_the_number(work: Path) -> None:
    reason = refused(work, "evaluation.confidence=0.95", "evaluation.max_false_positive_rate=0.001")
    assert "at 95% confidence needs at least 2,995 negative validation rows" in reason


# Replay


def again(folder: Path, metric: str, data: Path) -> ReplayResult:
    return replay(Source(str(folder), folder.parent / "store"), metric, [str(data)])


def test_a_number_comes_out_again(work: Path, data: Path) -> None:
    found = json.loads(succeed("replay", artifact(work, 1), "roc_auc", "--data", data, "--json"))
    reported = report(work)["models"]["model"]["metrics"]["roc_auc"]
    (number,) = found["numbers"]
    assert found["same"]
    assert number["same"]
    assert number["reported"] == reported
    assert number["computed"]["value"] == pytest.approx(reported["value"], abs=1e-6)
    assert found["provenance"]["trained"]["seed"] == 1
    assert len(found["provenance"]["data_fingerprint"]) == 64


def held_out_lines(work: Path) -> list[int]:
    """Return the numbers of the lines that the first run was tested on."""
    table = pl.read_parquet(work / "runs" / "small" / "seed_1" / "test_scores.parquet")
    return [int(key.rpartition(":")[2]) - 1 for key in table["id"]]


def test_every_number_comes_out_again_from_the_test_rows_alone(
    work: Path, data: Path, tmp_path: Path
) -> None:
    """The rows in a file of their own, under another name: known by what they hold."""
    lines = data.read_text().splitlines()
    alone = tmp_path / "held-out.csv"
    alone.write_text("\n".join([lines[0], *(lines[place] for place in held_out_lines(work))]) + "\n")
    found = again(artifact(work, 1), "all", alone)
    assert found.rows == len(held_out_lines(work))
    assert found.found == "the files hold the test rows and nothing else"
    assert {"f1", "ece_debiased", "category=scan:recall"} <= {n.metric for n in found.numbers}
    assert found.same
    assert all(number.same for number in found.numbers)


def test_other_rows_are_refused(work: Path, data: Path, tmp_path: Path) -> None:
    """One value of one row is changed: the split and the number may be the same, the data is not."""
    lines = data.read_text().splitlines()
    changed, victim = tmp_path / "made-flows.csv", held_out_lines(work)[0]
    cells = lines[victim].split(",")
    place = lines[0].split(",").index("forward_packets")
    cells[place] = str(float(cells[place] or 1) + 1)
    changed.write_text("\n".join([*lines[:victim], ",".join(cells), *lines[victim + 1 :]]) + "\n")
    with pytest.raises(CheckFailed, match="not the rows that the numbers were reported on"):
        again(artifact(work, 1), "f1", changed)
    shorter = tmp_path / "part.csv"
    shorter.write_text("\n".join(lines[:1000]) + "\n")
    with pytest.raises(CheckFailed, match="not the rows that the numbers were reported on") as error:
        again(artifact(work, 1), "f1", shorter)
    assert "cannot be cut" not in str(error.value)  # it can, into others


def test_rows_that_the_split_cannot_divide_are_refused_with_the_reason(
    work: Path, data: Path, tmp_path: Path
) -> None:
    few = tmp_path / "made-flows.csv"
    few.write_text("\n".join(data.read_text().splitlines()[:3]) + "\n")
    reason = r"split cannot be cut from them: split 'main': no rows are left for \w+"
    with pytest.raises(CheckFailed, match=rf"not the rows that the numbers were reported on.*{reason}"):
        again(artifact(work, 1), "f1", few)
    predictor = Predictor.load(open_artifact(artifact(work, 1)))
    rows = read_rows(predictor, [str(few)], "auto")
    unseen, note = unseen_ids(predictor, rows, [str(few)])
    assert unseen == set(rows.ids)
    assert re.search(rf"looks better than it is\. The reason: .*{reason}.*\.$", note)
    assert "\n" not in note


def test_a_number_that_was_made_up_is_different(work: Path, data: Path, tmp_path: Path) -> None:
    """An artifact that is sealed anew with a better score: the seal is right, the number is not."""
    metrics = dict(open_artifact(artifact(work, 1)).manifest.metrics)
    metrics["roc_auc"] = metrics["roc_auc"] | {"value": 0.9991, "high": 0.9995}
    reseal(artifact(work, 1), tmp_path / "forged", {}, metrics=metrics)
    done = tocsin("replay", tmp_path / "forged", "roc_auc", "--data", data)
    assert done.returncode == 1
    assert "roc_auc: not what was reported" in done.stderr
    assert "different" in done.stdout
    assert "0.999100" in done.stdout
    assert again(tmp_path / "forged", "f1", data).same


def reseal(folder: Path, to: Path, changed: dict[str, bytes], **stated: object) -> None:
    """Seal an artifact anew with other files, and other statements in the manifest."""
    sealed = open_artifact(folder)
    files = {n: c for n, c in sealed.files.items() if n not in ("manifest.json", "model_metadata.json")}
    seal(to, sealed.manifest.model_copy(update=stated), files | changed)


def test_an_evaluation_of_another_version_is_named(work: Path, data: Path, tmp_path: Path) -> None:
    old = report(work)
    del old["models"]["model"]["slices"][0]["pr_auc"]
    reseal(artifact(work, 1), tmp_path / "old", {"evaluation.json": json.dumps(old).encode()})
    with pytest.raises(InputError, match=r"evaluation\.json was sealed by another version.*pr_auc"):
        again(tmp_path / "old", "roc_auc", data)


def test_a_number_that_was_not_reported_is_named(work: Path, data: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'roc_auc'"):
        again(artifact(work, 1), "roc_acu", data)


# Compare


def compared(work: Path, data: Path, first: int = 1, *, every_row: bool = False) -> Comparison:
    sources = [Source(str(artifact(work, seed)), work / "store") for seed in (first, 3 - first)]
    return compare_artifacts(*sources, [str(data)], CompareOptions(resamples=400, every_row=every_row))


def test_compare_says_who_is_better_on_rows_that_neither_has_seen(
    work: Path, data: Path, tmp_path: Path
) -> None:
    both = [artifact(work, 1), artifact(work, 2)]
    found = json.loads(succeed("compare", *both, "--data", data, "--output", tmp_path, "--json"))
    assert found["pair"]["rows"] == report(work)["models"]["model"]["rows"]
    assert sum("only its test rows are used" in line for line in found["sentences"]) == 2
    assert found["verdict"] in ("better", "worse", "no evidence", "under-powered")
    for seed, side in ((1, "first"), (2, "second")):
        for change in found["pair"]["metrics"]:
            reported = report(work, seed)["models"]["model"]["metrics"][change["metric"]]["value"]
            assert change[side] == pytest.approx(reported, abs=1e-6)
    assert set(found["a"]["trained"]) == ORIGIN
    assert (found["a"]["trained"]["seed"], found["b"]["trained"]["seed"]) == (1, 2)
    assert json.loads((tmp_path / "compare.json").read_text()) == found
    page = (tmp_path / "compare.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "")
    assert found["a"]["digest"][:12] in page
    assert found["a"]["trained"]["recipe_sha256"] in page
    assert all(html.escape(line, quote=True) in page for line in found["sentences"])


def test_a_comparison_is_evidence_about_each_of_the_two(work: Path, data: Path, tmp_path: Path) -> None:
    found = compared(work, data)
    path = tmp_path / "compare.json"
    path.write_text(found.model_copy(update={"verdict": "worse"}).model_dump_json())
    first, second = (read_evidence([f"I4={path}"], open_artifact(artifact(work, s)))["I4"] for s in (1, 2))
    assert (first["verdict"], second["verdict"]) == ("worse", "better")
    assert first["other"] == str(artifact(work, 2))
    path.write_text(found.model_copy(update={"a": found.b}).model_dump_json())
    with pytest.raises(InputError, match="it compares two other artifacts"):
        read_evidence([f"I4={path}"], open_artifact(artifact(work, 1)))


def test_compare_turns_round_with_its_arguments(work: Path, data: Path) -> None:
    forth, back = compared(work, data, 1), compared(work, data, 2)
    opposite = {"better": "worse", "worse": "better"}
    for one, other in zip(forth.pair.metrics, back.pair.metrics, strict=True):
        assert one.difference.value == pytest.approx(-other.difference.value)
        assert other.verdict == opposite.get(one.verdict, one.verdict)


def test_every_row_is_compared_only_on_demand(work: Path, data: Path) -> None:
    found = compared(work, data, every_row=True)
    assert found.pair.rows > 2 * report(work)["models"]["model"]["rows"]
    assert any(line.startswith("Every row was compared") for line in found.sentences)


def test_a_file_of_the_same_name_is_warned_about(work: Path, data: Path, tmp_path: Path) -> None:
    part = tmp_path / "made-flows.csv"
    part.write_text("\n".join(data.read_text().splitlines()[:1500]) + "\n")
    found = compared(work, part)
    assert sum("trained on a file of the same name" in line for line in found.sentences) == 2


def test_groups_that_the_files_do_not_name_are_told(work: Path, data: Path, tmp_path: Path) -> None:
    recipe = (artifact(work, 1) / "recipe.yaml").read_text()
    assert "group: null" in recipe
    changed = {"recipe.yaml": recipe.replace("group: null", "group: host").encode()}
    reseal(artifact(work, 1), tmp_path / "one", changed)
    sources = [Source(str(folder), tmp_path / "store") for folder in (tmp_path / "one", artifact(work, 2))]
    for dropped in ([], ["host"]):
        pl.read_csv(data).drop(dropped).write_csv(tmp_path / "others.csv")
        found = compare_artifacts(*sources, [str(tmp_path / "others.csv")], CompareOptions(resamples=400))
        assert any("have no column host" in line for line in found.sentences) == bool(dropped)


def test_one_artifact_is_not_compared_with_itself(work: Path, data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(artifact(work, 1), tmp_path / "copy")
    sources = [Source(str(folder), tmp_path / "store") for folder in (artifact(work, 1), copy)]
    with pytest.raises(InputError, match="both names are one artifact"):
        compare_artifacts(*sources, [str(data)], CompareOptions())


def test_evaluate_says_what_made_its_numbers(work: Path, data: Path, tmp_path: Path) -> None:
    source = Source(str(artifact(work, 1)), work / "store")
    result = evaluate_artifact(source, [str(data)], "auto")
    write_evaluation(tmp_path, result.evaluation, result.provenance)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert set(found["provenance"]["trained"]) == ORIGIN
    assert found["provenance"]["digest"][:12] in (tmp_path / "report.html").read_text()
