import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifact.examples import KEY, files, manifest
from tocsin.artifact.manifest import METADATA
from tocsin.artifact.open import open_artifact
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.seal import seal
from tocsin.core.errors import InputError
from tocsin.core.types import Files


def test_equal_input_gives_equal_bytes(tmp_path: Path):
    one, two = (seal(tmp_path / name, manifest(), files(), KEY) for name in ("one", "two"))
    assert one.files == two.files
    assert one.digest == two.digest
    assert one.digest != seal(tmp_path / "three", manifest(), files(seed=1), KEY).digest
    assert one.digest != seal(tmp_path / "four", manifest(version="2"), files(), KEY).digest


def test_what_is_returned_is_what_opens(folder: Path, tmp_path: Path):
    sealed = seal(tmp_path / "again", manifest(), files(), KEY)
    assert sealed == open_artifact(tmp_path / "again", public_key=KEY.public_key())


def test_the_metadata_has_the_names_of_the_source_systems(folder: Path):
    names = [
        "version",
        "created_at",
        "training_config",
        "data_stats",
        "metrics",
        "git_commit",
        "framework version",
    ]
    assert set(json.loads((folder / METADATA).read_bytes())) == {*names, "trained_on"}


def test_a_file_name_that_is_no_text_is_sealed(tmp_path: Path):
    """File systems hold names that UTF-8 cannot; Python shows them with lone surrogates."""
    sources = {"sources": [os.fsdecode(b"flows-\xff.csv"), "\U0001f600"]}
    assert seal(tmp_path / "sealed", manifest(data=sources), files()).manifest.data == sources


def test_numbers_of_numpy_and_nan_are_sealed_as_json(tmp_path: Path):
    metrics = {"f1": {"value": np.float32(0.5), "low": float("nan"), "high": None}}
    artifact = seal(tmp_path / "sealed", manifest(metrics=metrics), files())
    assert artifact.manifest.metrics == {"f1": {"value": 0.5, "low": None, "high": None}}


@pytest.mark.parametrize("existing", ["artifact", "empty folder", "file"])
def test_nothing_is_overwritten(tmp_path: Path, existing: str):
    folder = tmp_path / "sealed"
    make = {
        "artifact": lambda: seal(folder, manifest(version="1"), files()),
        "empty folder": folder.mkdir,
        "file": folder.touch,
    }
    make[existing]()
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match="never overwritten"):
        seal(folder, manifest(version="2"), files())
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(("name", "code"), [
    ("../outside", "name-traversal"),
    ("/etc/passwd", "name-absolute"),
    ("MODEL.onnx", "name-collision"),
    ("manifest.json", "name-reserved"),
    ("with space", "name-invalid"),
])  # fmt: skip
def test_a_bad_name_is_refused_before_anything_is_written(tmp_path: Path, name: str, code: str):
    with pytest.raises(ArtifactError) as refused:
        seal(tmp_path / "sealed", manifest(), files() | {name: b""})
    assert refused.value.code == code
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize(("contents", "changes", "code"), [
    ({}, {}, "no-model"),
    ({"model.onnx": b"text"}, {}, "model-malformed"),
    (files(), {"parity": {"1": float("nan")}}, "manifest-invalid"),
    (files(), {"data": {"text": "a" * (1 << 20)}}, "file-too-large"),
])  # fmt: skip
def test_what_would_not_open_is_not_sealed(
    tmp_path: Path, contents: Files, changes: dict[str, Any], code: str
):
    with pytest.raises(ArtifactError) as refused:
        seal(tmp_path / "sealed", manifest(**changes), contents)
    assert refused.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_the_metadata_is_not_the_callers(tmp_path: Path):
    with pytest.raises(InputError, match="leave it out"):
        seal(tmp_path / "sealed", manifest(), files() | {METADATA: b""})


def test_only_one_of_many_wins(tmp_path: Path):
    def attempt(version: int) -> str | None:
        try:
            return seal(tmp_path / "sealed", manifest(version=str(version)), files()).manifest.version
        except InputError:
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [version for version in pool.map(attempt, range(32)) if version is not None]
    assert winners == [open_artifact(tmp_path / "sealed").manifest.version]
    assert list(snapshot(tmp_path)) == [
        f"sealed/{name}" for name in sorted(open_artifact(tmp_path / "sealed").files)
    ]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def recorded(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[tuple[str, str]]:
    """What was written, synced and renamed, in order: (event, path)."""
    events: list[tuple[str, str]] = []
    fsync, rename = os.fsync, Path.rename

    def note_sync(handle: int) -> None:
        events.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        fsync(handle)

    def note_rename(path: Path, target: Path) -> Path:
        events.append(("rename", str(target)))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    act()
    return events


def test_everything_is_synced_before_the_rename_and_the_parent_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    events = recorded(monkeypatch, lambda: seal(tmp_path / "sealed", manifest(), files(), KEY))
    at = events.index(("rename", str(tmp_path / "sealed")))
    synced = {Path(path).relative_to(tmp_path).parts[1:] for kind, path in events[:at]}
    names = {tuple(name.split("/")) for name in open_artifact(tmp_path / "sealed").files}
    assert synced == names | {("encoder",), ()}
    assert events[at + 1 :] == [("sync", str(tmp_path))]


@pytest.mark.parametrize("failing", range(1, 12))
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int):
    """Each sync in turn reports a full disk; the last one comes after the rename and leaves it whole."""
    fsync, calls = os.fsync, iter(range(1, 100))

    def fail(handle: int) -> None:
        if next(calls) == failing:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fail)
    try:
        seal(tmp_path / "sealed", manifest(), files(), KEY)
    except OSError:
        monkeypatch.undo()
        if not (tmp_path / "sealed").exists():
            assert list(tmp_path.iterdir()) == []
            return
    assert open_artifact(tmp_path / "sealed", public_key=KEY.public_key())


KILLED = """
import os, sys
from pathlib import Path
from typing import Any
sys.path.insert(0, sys.argv[3])
from artifact.examples import KEY, files, manifest
from tocsin.artifact.seal import seal
fsync, left = os.fsync, int(sys.argv[2])
def kill(handle):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
    fsync(handle)
os.fsync = kill
seal(Path(sys.argv[1]), manifest(), files(), KEY)
"""


@pytest.mark.parametrize("at", [1, 6, 9, 10])
def test_a_kill_leaves_a_whole_artifact_or_none(tmp_path: Path, at: int):
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-c", KILLED, str(tmp_path / "sealed"), str(at), str(tests)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    visible = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")]
    if visible:
        assert open_artifact(tmp_path / "sealed", public_key=KEY.public_key())
    else:
        assert seal(tmp_path / "sealed", manifest(), files(), KEY), "what is left must not be in the way"
    shutil.rmtree(tmp_path)
