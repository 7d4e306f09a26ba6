"""The main job, as a user does it, on made data: every verb, and every error that a user makes first."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from end_to_end.command import succeed, tocsin
from end_to_end.recipe import sets, write_recipe
from end_to_end.server import BLOCKED, serving

SMALL = [
    "model.width=16", "model.layers=1", "model.heads=2", "model.feedforward=16",
    "stages.pretrain.length=5 steps", "stages.finetune.length=30 steps", "stages.finetune.batch_size=128",
    "evaluation.resamples=100", "data.limit=3000", "hardware=cpu", "evaluation.max_false_positive_rate=0.02",
]  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with made data, a recipe and a key pair."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "data.txt").write_text(str(write_recipe(folder, rows=4000)))
    succeed("keygen", folder / "keys")
    return folder


@pytest.fixture(scope="module")
def trained(work: Path) -> dict[str, object]:
    """What `tocsin train --json` printed for a small model."""
    key = work / "keys" / "signing.pem"
    out = succeed("train", work / "recipe.yaml", *sets(*SMALL), "--key", key, "--json")
    run: dict[str, object] = json.loads(out)["runs"][0]
    return run


@pytest.fixture(scope="module")
def artifact(trained: dict[str, object]) -> Path:
    return Path(str(trained["artifact"]))


@pytest.fixture(scope="module")
def data(work: Path) -> Path:
    return Path((work / "data.txt").read_text())


def test_audit_names_what_it_found(work: Path) -> None:
    report = json.loads(succeed("audit", work / "recipe.yaml", "--json"))
    assert {f["severity"] for f in report["findings"]} <= {"info", "warning", "error"}
    assert report["findings"]


def test_the_report_stands_beside_baselines_with_intervals(trained: dict[str, object]) -> None:
    evaluation = json.loads((Path(str(trained["folder"])) / "evaluation.json").read_text())
    assert {"majority", "stump", "logistic", "lightgbm"} < set(evaluation["models"])
    for model in evaluation["models"].values():
        auc = model["metrics"]["roc_auc"]
        assert auc["low"] <= auc["value"] <= auc["high"]
    page = Path(str(trained["report"])).read_text()
    assert "lightgbm" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_verify_with_the_right_key_and_the_wrong_one(work: Path, artifact: Path, tmp_path: Path) -> None:
    succeed("verify", artifact, "--key", work / "keys" / "signing.pub.pem")
    succeed("keygen", tmp_path)
    wrong = tocsin("verify", artifact, "--key", tmp_path / "signing.pub.pem")
    assert wrong.returncode == 2
    assert len(wrong.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_predict_writes_a_verdict_for_every_row(
    artifact: Path, data: Path, tmp_path: Path, ending: str
) -> None:
    output = tmp_path / f"verdicts{ending}"
    counts = json.loads(succeed("predict", artifact, data, "-o", output, "--json"))
    whole = partial(pl.read_ndjson, infer_schema_length=None)
    read = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": whole}[ending]
    frame = read(output)
    assert len(frame) == counts["rows"]
    assert frame["probability"].is_between(0, 1).all()
    assert counts["rows"] + counts["refused"] == len(data.read_text().splitlines()) - 1


def test_evaluate_agrees_with_scikit_learn(artifact: Path, data: Path, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    from tocsin.core.plugins import load_detector
    from tocsin.data.sources import read

    result = json.loads(succeed("evaluate", artifact, data, "--output", tmp_path / "out", "--json"))
    succeed("predict", artifact, data, "-o", tmp_path / "v.parquet")
    labelled = read([data], load_detector("intrusion").schemas["flow"])
    truth = pl.DataFrame({"id": list(labelled.ids), "truth": labelled.label})
    joined = truth.join(pl.read_parquet(tmp_path / "v.parquet"), on="id")
    assert len(joined) == len(labelled) == result["rows"]
    outside = roc_auc_score(joined["truth"].to_numpy(), joined["probability"].to_numpy())
    assert result["evaluation"]["metrics"]["roc_auc"]["value"] == pytest.approx(outside, abs=1e-9)


def test_serving_without_torch_gives_the_verdicts_of_predict(
    artifact: Path, data: Path, tmp_path: Path
) -> None:
    golden = [json.loads(line)["sample"] for line in (artifact / "golden.jsonl").read_text().splitlines()]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in golden))
    with serving(artifact) as server:
        together = server.post("/v1/intrusion/predict", golden)["verdicts"]
        alone = [server.post("/v1/intrusion/predict", sample)["verdicts"][0] for sample in golden]
        explained = server.post("/v1/intrusion/predict?explain=3", golden[0])["verdicts"][0]
        assert server.request("/metrics").status == 200
        assert server.request("/v1/intrusion").body["digest"] == together[0]["artifact"]
    for a, b in zip(alone, together, strict=True):
        assert a["probability"] == pytest.approx(b["probability"], abs=1e-6)
        assert a["label"] == b["label"]
    assert len(explained["evidence"]) == 3


@pytest.mark.parametrize("verb", ["verify", "predict", "bench"])
def test_the_verbs_that_use_a_model_need_no_torch(artifact: Path, data: Path, verb: str) -> None:
    options = {"verify": [], "predict": [data], "bench": ["--count", "20"]}[verb]
    command = [sys.executable, "-c", BLOCKED, verb, str(artifact), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_training_does_need_it(work: Path) -> None:
    command = [sys.executable, "-c", BLOCKED, "train", str(work / "recipe.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "tocsin[train]" in done.stderr


def test_bench_prints_percentiles(artifact: Path) -> None:
    rows = json.loads(succeed("bench", artifact, "--count", "50", "--json"))["rows"]
    assert [row[0] for row in rows] == ["single", "batch of 100"]
    assert all(0 < p50 <= p95 <= p99 for _, _, _, p50, p95, p99, _ in rows)


def test_promote_and_roll_back(work: Path, artifact: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    succeed("promote", artifact, "--store", store, "--bar", "0")
    succeed("verify", "intrusion@champion", "--store", store)
    back = tocsin("rollback", "intrusion", "--store", store)
    assert back.returncode == 2, "there is no version before the first"


def test_ready_names_every_line_and_says_no_to_a_model_that_a_tree_beats(
    work: Path, artifact: Path, tmp_path: Path
) -> None:
    """It needs no torch. Thirty steps are not enough to beat LightGBM, which is M5."""
    options = ["--key", str(work / "keys" / "signing.pub.pem"), "--output", str(tmp_path), "--json"]
    command = [sys.executable, "-c", BLOCKED, "ready", str(artifact), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    card = json.loads(done.stdout)["scorecard"]
    status = {line["id"]: line["status"] for line in card["lines"]}
    assert len([name for name in status if re.fullmatch("[DMIO][1-7]", name)]) == 28
    assert status["M5"] == "failed"
    assert status["D24-signed"] == status["O3"] == status["I7"] == "passed"
    assert "tocsin: not ready: " in done.stderr
    assert "M5 A simpler model is not better" in done.stderr
    assert json.loads((tmp_path / "scorecard.json").read_text()) == card


def test_promote_refuses_what_is_not_ready(artifact: Path, tmp_path: Path) -> None:
    refused = tocsin("promote", artifact, "--store", tmp_path / "store")
    assert refused.returncode == 1
    assert "M5 A simpler model is not better" in refused.stderr
    assert not (tmp_path / "store").exists()


def test_a_finished_run_is_not_overwritten(work: Path, trained: dict[str, object]) -> None:
    again = tocsin("train", work / "recipe.yaml", *sets(*SMALL))
    assert again.returncode == 2
    assert "--resume" in again.stderr
    resumed = json.loads(succeed("train", work / "recipe.yaml", *sets(*SMALL), "--resume", "--json"))
    assert resumed["runs"][0]["digest"] == trained["digest"]


def ragged(text: str) -> str:
    lines = text.splitlines()
    return "\n".join([*lines[:3], *(line + ",extra" for line in lines[3:])])


def unknown_column(text: str) -> str:
    header, rest = text.split("\n", 1)
    return header.replace("duration_seconds", "duration_secnds") + "\n" + rest


def nan_label(text: str) -> str:
    lines = text.splitlines()
    place = lines[0].split(",").index("label")
    cells = [line.split(",") for line in lines[1:]]
    return "\n".join(
        [lines[0], *(",".join([*row[:place], "NaN", *row[place + 1 :]]) for row in cells if len(row) > place)]
    )


@pytest.mark.parametrize(
    "damage", [ragged, unknown_column, nan_label, lambda text: "", lambda text: text.splitlines()[0]]
)
def test_a_bad_file_is_one_line_and_nothing_is_written(
    work: Path, data: Path, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(damage(data.read_text()))
    done = tocsin(
        "train", work / "recipe.yaml", *sets(*SMALL, f"data.train=[{bad}]", f"output={tmp_path / 'runs'}")
    )
    message = [line for line in done.stderr.strip().splitlines() if line.startswith("tocsin: ")]
    assert done.returncode == 2, done.stderr
    assert len(message) == 1
    assert "bad.csv" in message[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_typo_in_a_recipe_names_the_nearest_key(work: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "typo.yaml"
    recipe.write_text((work / "recipe.yaml").read_text() + "evaluation:\n  max_fals_positive_rate: 0.01\n")
    done = tocsin("train", recipe)
    assert done.returncode == 2
    assert "max_false_positive_rate" in done.stderr
    assert "typo.yaml" in done.stderr


@pytest.mark.parametrize("victim", ["model.onnx", "manifest.json", "golden.jsonl", "manifest.sig"])
def test_a_truncated_artifact_is_refused(artifact: Path, tmp_path: Path, victim: str) -> None:
    copy = tmp_path / "artifact"
    shutil.copytree(artifact, copy)
    content = (copy / victim).read_bytes()
    (copy / victim).chmod(0o644)
    (copy / victim).write_bytes(content[: len(content) // 2])
    done = tocsin("verify", copy)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
