"""Two processes train one artifact, started by the program or by torchrun, as one process would; and any may die."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
from safetensors.numpy import load_file

from end_to_end.recipe import sets, write_recipe
from tocsin.artifact.open import open_artifact
from tocsin.workflows.training.train import TrainOptions, train_recipe

TOLERANCE = 1e-5
"""Largest difference of a weight, in 32 bits; measured: 4e-6 where weights are about 1."""
IDLE = "attention.key.bias"
"""A softmax does not see it, so its gradient is rounding alone, of which AdamW makes whole steps: 5e-3 apart."""
CLOSE = 1e-6
"""Largest difference of a probability."""
LIMIT = 300.0
"""Seconds that a run may take on a busy machine; a run that hangs would take half an hour."""
SMALL = [
    "model.width=8", "model.layers=1", "model.heads=1", "model.feedforward=16",
    "model.attention_dropout=0", "model.feedforward_dropout=0",
    "stages.pretrain.length=4 steps", "stages.finetune.length=60 steps", "stages.finetune.batch_size=64",
    "stages.finetune.evaluate_every=30 steps", "stages.finetune.checkpoint_every=3 steps",
    "evaluation.resamples=100", "evaluation.baselines=[majority, stump]",
    "evaluation.max_false_positive_rate=0.05", "data.limit=2000", "hardware=cpu",
    "compute.precision='32'", "compute.threads=1", "export.golden=4",
]  # fmt: skip
MANY = [
    "seeds=[42, 7]",
    "variants={flat: {model.feedforward: 8}}",
    "stages.finetune.optim.learning_rate=find",
]
"""Several runs of several models, and a rate that is searched for and kept."""
LONG = ["stages.finetune.length=300 steps", "stages.finetune.evaluate_every=300 steps"]
TWO = "compute.devices=2"
TRAIN = [sys.executable, "-m", "tocsin", "train"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    write_recipe(folder, rows=3000)
    return folder


def alone(work: Path, name: str, *settings: str) -> Path:
    """Train in this process, and return the folder of the run."""
    chosen = [*SMALL, *settings, f"name={name}"]
    return train_recipe(work / "recipe.yaml", chosen, TrainOptions(), lambda message: None).folder


@contextmanager
def started(command: list[str], work: Path, *settings: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a training on two devices; it is killed with all that it started if the test leaves it."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "TOCSIN_LOG_LEVEL": "info"}
    env |= {"GLOO_SOCKET_IFNAME": "lo"}
    options = [str(work / "recipe.yaml"), *sets(*SMALL, TWO, *settings), "--json"]
    if settings[-1:] == ("--resume",):
        options = [str(work / "recipe.yaml"), *sets(*SMALL, TWO, *settings[:-1]), "--json", "--resume"]
    process = subprocess.Popen(
        [*command, *options], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        for one in [*family(process.pid), process]:
            one.kill()
        process.wait()


def family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def events(err: str, name: str) -> list[dict[str, object]]:
    """The lines of the log with this event."""
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == name]


def told(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("tocsin: ")]


def wait_until(is_true: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + LIMIT
    while not is_true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def difference(a: Path, b: Path) -> float:
    """The largest difference of any weight of any fit in two runs' folders."""
    names = sorted(path.relative_to(a) for path in a.rglob("*.safetensors"))
    assert names == sorted(path.relative_to(b) for path in b.rglob("*.safetensors"))
    assert names
    ours, theirs = ([load_file(folder / name) for name in names] for folder in (a, b))
    pairs = [(x[k], y[k]) for x, y in zip(ours, theirs, strict=True) for k in x if not k.endswith(IDLE)]
    return max(float(np.abs(x - y).max(initial=0.0)) for x, y in pairs)


def gap(a: Path, b: Path) -> float:
    """The largest difference of any model's probability of any test row."""
    names = sorted(path.relative_to(a) for path in a.rglob("test_scores.parquet"))
    tables = [(pl.read_parquet(a / name), pl.read_parquet(b / name)) for name in names]
    assert all(x.columns == y.columns for x, y in tables)
    columns = [(x[c], y[c]) for x, y in tables for c in x.columns if c.startswith("probability: ")]
    assert columns
    return max(float((x - y).abs().max()) for x, y in columns)


def test_under_torchrun_every_seed_and_variant_is_that_of_one_process(work: Path) -> None:
    one = alone(work, "one", *MANY)
    with started([*TORCHRUN, "-m", "tocsin", "train"], work, *MANY, "name=torchrun") as process:
        code, out, err = ended(process)
    assert code == 0, err
    result = json.loads(out)  # one document: the other process prints nothing
    assert [run["seed"] for run in result["runs"]] == [42, 7]
    two = Path(result["folder"])
    assert difference(one, two) < TOLERANCE
    assert gap(one, two) < CLOSE
    assert difference(one / "seed_42" / "models", one / "seed_7" / "models") > 100 * TOLERANCE, "the control"
    for run in result["runs"]:
        open_artifact(Path(run["artifact"]))
    computes = events(err, "compute")
    assert [line["processes"] for line in computes] == [2] * 4, "both took part in each fit, and one says so"
    assert len([line for line in err.splitlines() if line.startswith("reading ")]) == 1
    assert not list(two.rglob(".l*")), "nothing that was lent is left"


def test_a_killed_process_and_a_signal_end_the_job_and_it_goes_on(work: Path) -> None:
    one = alone(work, "long", *LONG)
    checkpoints = work / "runs" / "torn" / "seed_42" / "models" / "model" / "finetune" / "checkpoints"
    with started(TRAIN, work, *LONG, "name=torn") as process:
        wait_until(lambda: list(checkpoints.glob("*.ckpt")), process)
        follower = max(workers(process.pid), key=lambda child: child.create_time())
        follower.kill()
        code, _, err = ended(process)
        assert code == 5, err
        assert len(told(err)) == 1
        assert "was killed by SIGKILL: the checkpoints are whole; run again with --resume" in told(err)[0]
        assert "Traceback" not in err
        assert "leaked" not in err
    first = max(int(path.stem[5:]) for path in checkpoints.glob("*.ckpt"))
    with started(TRAIN, work, *LONG, "name=torn", "--resume") as process:
        wait_until(
            lambda: max(int(path.stem[5:]) for path in checkpoints.glob("*.ckpt")) > first + 5, process
        )
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)
        assert code == 4, err
        assert len(told(err)) == 1
        assert [line["step"] for line in events(err, "resumed") if line["stage"] == "finetune"] == [first]
    with started(TRAIN, work, *LONG, "name=torn", "--resume") as process:
        code, out, err = ended(process)
    assert code == 0, err
    [resumed] = [line["step"] for line in events(err, "resumed") if line["stage"] == "finetune"]
    assert first < resumed < 300
    two = Path(json.loads(out)["folder"])
    assert difference(one, two) < TOLERANCE
    assert gap(one, two) < CLOSE


def workers(pid: int) -> list[psutil.Process]:
    """The processes that train: those that hold the folder of work open by what they import, not the helpers."""
    return [child for child in family(pid) if child.ppid() != pid]


@pytest.mark.parametrize("command", [TRAIN, [*TORCHRUN, "-m", "tocsin", "train"]], ids=["train", "torchrun"])
def test_an_error_of_the_leader_ends_both(work: Path, command: list[str]) -> None:
    """Where its first checkpoint should go lies a file; the other process waits for it in a collective."""
    name = f"refused-{len(command)}"
    stage = work / "runs" / name / "seed_42" / "models" / "model" / "finetune"
    stage.mkdir(parents=True)
    (stage / "checkpoints").touch()
    with started(command, work, f"name={name}") as process:
        code, out, err = ended(process)
    assert code == (2 if command is TRAIN else 1), "torchrun has one code for whatever fails"
    assert not out
    assert len(told(err)) == 1, err
    assert "checkpoints" in told(err)[0]
    assert "cannot be written" in told(err)[0]
    assert not list((work / "runs" / name).rglob("manifest.json"))
