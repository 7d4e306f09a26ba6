"""Old content or new, never a part: at every failing step, at any kill, in the order a power cut needs."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tocsin.core import durable
from tocsin.core.durable import json_bytes, jsonable, replacing, write_bytes, write_json, write_text

Trace = list[tuple[str, str]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def traced(monkeypatch: pytest.MonkeyPatch, fail_at: int = -1) -> Iterator[Trace]:
    """Record (step, what) of every durable step; the step numbered `fail_at` fails as a full disk does."""
    trace: Trace = []
    fsync, replace = os.fsync, Path.replace

    def step(kind: str, what: str) -> None:
        trace.append((kind, what))
        if len(trace) - 1 == fail_at:
            raise OSError(errno.ENOSPC, "no space left on device")

    def traced_fsync(handle: int) -> None:
        step("fsync", Path(f"/proc/self/fd/{handle}").resolve().name)
        fsync(handle)

    def traced_replace(self: Path, target: Path) -> Path:
        step("replace", target.name)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", traced_fsync)
        patch.setattr(Path, "replace", traced_replace)
        yield trace


def survives_power_cut(trace: Trace, folder: str, name: str) -> bool:
    """Tell whether a trace is file synced, then renamed, then folder synced."""
    renamed = trace.index(("replace", name))
    file_synced = any(kind == "fsync" and what.startswith(f".{name}.") for kind, what in trace[:renamed])
    return file_synced and ("fsync", folder) in trace[renamed:]


def test_the_order_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with traced(monkeypatch) as trace:
        write_bytes(tmp_path / "a.json", b"new")
    assert survives_power_cut(trace, tmp_path.name, "a.json")


@pytest.mark.parametrize("without", ["file", "folder"])
def test_a_missing_sync_would_be_found(without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with traced(monkeypatch) as trace:
        write_bytes(tmp_path / "a.json", b"new")
    hole = [
        (kind, what)
        for kind, what in trace
        if kind != "fsync" or (what == tmp_path.name) != (without == "folder")
    ]
    assert not survives_power_cut(hole, tmp_path.name, "a.json")


def test_new_folders_are_synced_into_those_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with traced(monkeypatch) as trace:
        write_bytes(tmp_path / "a" / "b" / "c.json", b"new")
    assert [what for kind, what in trace if kind == "fsync"][:2] == [tmp_path.name, "a"]


@pytest.mark.parametrize("fail_at", range(3))
def test_a_full_disk_at_any_step(fail_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with traced(monkeypatch, fail_at) as trace, pytest.raises(OSError, match="no space") as caught:
        write_bytes(path, b"new")
    assert len(trace) == fail_at + 1
    assert caught.value.filename == (str(path) if fail_at < 2 else None), (
        "the file itself, not a temporary name"
    )
    renamed = any(kind == "replace" for kind, _ in trace[:-1])
    assert path.read_bytes() == (b"new" if renamed else b"old")
    assert names(tmp_path) == ["a.json"], "the temporary file is gone"


def test_an_error_while_writing_keeps_the_old_file(tmp_path: Path):
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half of the n", "no bytes"])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


WRITER = """
import sys
from pathlib import Path
from tocsin.core.durable import write_bytes
path, count = Path(sys.argv[1]), 0
while True:
    count += 1
    write_bytes(path, bytes([count % 256]) * 300_000)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
@pytest.mark.parametrize("times", [6, pytest.param(200, marks=pytest.mark.release)])
def test_kill_at_any_moment(times: int, tmp_path: Path):
    path = tmp_path / "weights.bin"
    rng = np.random.default_rng(0)
    for _ in range(times):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", WRITER, path])
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = path.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1


class Part(BaseModel):
    name: str
    folder: Path


def test_special_values_become_plain_ones():
    torch = pytest.importorskip("torch")
    value = {
        "tensor": torch.tensor([[1.0, 2.0]], requires_grad=True),
        "half": torch.tensor(0.5, dtype=torch.bfloat16),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "array": np.arange(3),
        "scalar": np.float32(0.5),
        "path": Path("a/b"),
        "model": Part(name="x", folder=Path("c")),
        "set": {3, 1, 2},
        "tuple": (1, None),
        "nan": math.nan,
        "infinite": np.array([math.inf, 1.0]),
        "time": datetime(2026, 1, 2, tzinfo=UTC),
        "view": MappingProxyType({"a": True}),
        7: "seven",
        np.int64(8): "eight",
    }
    assert json.loads(json_bytes(value)) == {
        "tensor": [[1.0, 2.0]],
        "half": 0.5,
        "device": "cpu",
        "dtype": "torch.float16",
        "array": [0, 1, 2],
        "scalar": 0.5,
        "path": "a/b",
        "model": {"name": "x", "folder": "c"},
        "set": [1, 2, 3],
        "tuple": [1, None],
        "nan": None,
        "infinite": [None, 1.0],
        "time": "2026-01-02T00:00:00+00:00",
        "view": {"a": True},
        "7": "seven",
        "8": "eight",
    }


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, {"b": object()}]}, r"\$\.a\[1\]\.b: object"),
        ({"a": b"bytes"}, r"\$\.a: bytes"),
        ({"a": {(1, 2): 3}}, r"\$\.a: a key of type tuple"),
        ({"a": {1: "x", "1": "y"}}, r"\$\.a: two keys would be written alike"),
        ([1j], r"\$\[0\]: complex"),
        ({"a": {object()}}, r"\$\.a\[\.\.\.\]: object"),
    ],
)
def test_what_json_cannot_hold_is_named_with_its_place(value: object, place: str, tmp_path: Path):
    with pytest.raises(TypeError, match=place):
        write_json(tmp_path / "a.json", value)
    assert not names(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(VALUES)
def test_everything_plain_is_read_back(value):
    assert json.loads(json_bytes(value)) == jsonable(value)
    assert json_bytes(json.loads(json_bytes(value))) == json_bytes(value)


@given(st.dictionaries(st.text(), st.integers(), max_size=5))
def test_equal_values_give_equal_bytes(value: dict[str, int]):
    assert json_bytes(dict(reversed(value.items()))) == json_bytes(value)


def test_names_that_utf8_cannot_hold_are_escaped():
    assert json.loads(json_bytes({"file": "caf\udce9"})) == {"file": "caf\udce9"}


def test_on_windows_folders_are_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    called: list[Callable[..., object]] = []
    monkeypatch.setattr(durable.os, "name", "nt")
    monkeypatch.setattr(durable.os, "open", called.append)
    durable.sync_folder(tmp_path)
    assert not called
