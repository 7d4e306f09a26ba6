"""Histories, TensorBoard, MLflow, the progress bar."""

import csv
import io

import pytest
from rich.console import Console

from engine.runs import cpu, make_stage
from tocsin.core.duration import Duration
from tocsin.engine.history import History, Table, read_table
from tocsin.engine.loop import FitOptions, fit
from tocsin.engine.progress import ProgressBar
from tocsin.engine.trackers import MlflowTracker, TensorBoardTracker, system_metrics


def run(folder, *observers, **changes):
    return fit(cpu(), make_stage(**changes), folder, FitOptions(seed=1, observers=observers))


def test_the_history_has_a_line_every_so_many_steps_and_per_evaluation(tmp_path):
    run(tmp_path, log_every=5)
    steps, evaluations = (read_table(tmp_path / n) for n in ("steps_history.csv", "metrics_history.csv"))
    assert [row["step"] for row in steps] == ["5", "10", "15", "20"]
    assert [row["step"] for row in evaluations] == ["7", "14", "21"]
    assert {"train_loss", "val_loss", "val_f1_macro", "learning_rate", "duration_seconds"} <= set(
        evaluations[0]
    )
    assert 0 <= float(steps[0]["accuracy"]) <= 1
    assert float(steps[0]["data_seconds"]) > 0


def test_a_torn_last_line_and_later_rows_are_dropped(tmp_path):
    table = Table(tmp_path / "t.csv")
    for step in (1, 2, 3):
        table.append({"step": step, "text": 'a, "b"'})
    table.append({"step": 4, "other": 1})
    table.close()
    with table.path.open("a") as file:
        file.write("5,half of a li")
    assert [row["step"] for row in read_table(table.path)] == ["1", "2", "3", "4"]
    table.truncate(2)
    table.append({"step": 3, "text": "again"})
    table.close()
    found = list(csv.DictReader(io.StringIO(table.path.read_text())))
    assert found == [
        {"step": "1", "text": 'a, "b"'},
        {"step": "2", "text": 'a, "b"'},
        {"step": "3", "text": "again"},
    ]


def test_history_of_nothing_is_empty(tmp_path):
    history = History(tmp_path, 1)
    assert read_table(history.steps.path) == []


MLFLOW_NAMES = {
    "train/loss_step", "train/accuracy_step", "train/learning_rate", "train/batch_time_seconds",
    "epoch/train_loss", "epoch/val_f1_macro", "epoch/duration_seconds",
    "final/best_val_f1_macro", "final/total_epochs", "final/total_steps",
    "system/cpu_percent", "system/memory_percent",
}  # fmt: skip


def test_tensorboard_gets_every_name(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run(tmp_path, TensorBoardTracker(tmp_path / "tb", 5))
    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= MLFLOW_NAMES
    losses = events.Scalars("epoch/val_loss")
    assert [event.step for event in losses] == [7, 14, 21]
    assert losses[-1].value == pytest.approx(result.history[-1]["val_loss"], rel=1e-5)


def test_mlflow_gets_every_name(tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "files").as_uri())
    run_id = client.create_run(experiment).info.run_id
    result = run(tmp_path, MlflowTracker(uri, run_id, 5))
    metrics = client.get_run(run_id).data.metrics
    assert set(metrics) >= MLFLOW_NAMES
    assert metrics["final/total_steps"] == 21
    assert metrics["final/total_epochs"] == 3
    assert metrics["final/best_val_f1_macro"] == pytest.approx(result.report.metrics["f1_macro"])
    assert [m.step for m in client.get_metric_history(run_id, "train/loss_step")] == [5, 10, 15, 20]
    run(tmp_path / "again", MlflowTracker(uri, run_id, 5, prefix="pretrain/"), length=Duration(1, "epochs"))
    assert "pretrain/epoch/train_loss" in client.get_run(run_id).data.metrics


def test_trackers_cost_no_import_until_they_are_made():
    import subprocess
    import sys

    code = "import sys, tocsin.engine.trackers; assert not {'mlflow', 'tensorboard'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_elsewhere_than_at_a_terminal_evaluations_are_plain_lines(tmp_path):
    text = io.StringIO()
    result = run(tmp_path, ProgressBar(Console(file=text, force_terminal=False, width=40)))
    lines = text.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("train: epoch 1, step 7: train loss ")
    assert lines[-1].endswith(f"value {result.history[-1]['value']:.4f}  best so far")


def test_at_a_terminal_there_is_a_bar(tmp_path):
    text = io.StringIO()
    bar = ProgressBar(Console(file=text, force_terminal=True, width=100))
    run(tmp_path, bar)
    assert "21/21" in text.getvalue()
    assert "\x1b[" in text.getvalue()
    assert bar._progress is None, "the screen is left as it was"


def test_system_metrics_are_percentages():
    found = system_metrics()
    assert 0 < found["system/memory_percent"] <= 100
