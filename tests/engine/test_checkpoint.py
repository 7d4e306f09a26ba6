"""Checkpoints are complete or ignored, and writing one never harms the others."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest
import structlog
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.core.errors import InputError, TocsinError
from tocsin.engine.checkpoint import (
    forget_checkpoints,
    list_checkpoints,
    newest_checkpoint,
    read_checkpoint,
    read_weights,
    write_checkpoint,
    write_weights,
)


def state_of(step: int) -> dict:
    return {"step": step, "model": {"w": torch.full((7,), float(step))}, "names": ["a", None, (1, 2.5)]}


def steps(folder: Path) -> list[int]:
    return [step for step, _ in list_checkpoints(folder)]


def test_the_last_few_are_kept(tmp_path):
    for step in (5, 10, 15, 20):
        write_checkpoint(tmp_path, step, state_of(step), keep=2)
    assert steps(tmp_path) == [15, 20]
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest["step"] == 20
    assert torch.equal(newest["model"]["w"], torch.full((7,), 20.0))
    assert newest["names"] == ["a", None, (1, 2.5)]
    assert newest_checkpoint(tmp_path, before=20)["step"] == 15
    assert newest_checkpoint(tmp_path, before=15) is None
    forget_checkpoints(tmp_path, after=15)
    assert steps(tmp_path) == [15]
    assert newest_checkpoint(tmp_path / "nowhere") is None


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    return write_checkpoint(tmp_path_factory.mktemp("c"), 2, state_of(2), keep=None).read_bytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_one_is_skipped_with_a_warning(tmp_path, content, data):
    write_checkpoint(tmp_path, 1, state_of(1), keep=None)
    place = data.draw(st.integers(0, len(content) - 1), label="byte")
    if data.draw(st.booleans(), label="cut"):
        damaged = content[:place]
    else:
        flipped = content[place] ^ (1 << data.draw(st.integers(0, 7), label="bit"))
        damaged = content[:place] + bytes([flipped]) + content[place + 1 :]
    path = tmp_path / "step-000000002.ckpt"
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="damaged checkpoint"):
        read_checkpoint(path)
    with structlog.testing.capture_logs() as logs:
        assert newest_checkpoint(tmp_path)["step"] == 1
    assert [entry["log_level"] for entry in logs] == ["warning"]
    path.write_bytes(content)
    assert newest_checkpoint(tmp_path)["step"] == 2


def test_reading_runs_no_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.system, ("touch trapped",)

    path = write_checkpoint(tmp_path, 1, {"trap": Trap()}, keep=None)
    with pytest.raises(Exception, match=r"unsupported GLOBAL posix\.system"):
        read_checkpoint(path)
    assert not Path("trapped").exists()


def trace_of(tmp_path, monkeypatch) -> list[str]:
    """The system calls that matter, in their order."""
    calls = []
    real = {"fsync": os.fsync, "replace": os.replace}

    def fsync(handle):
        calls.append("fsync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "fsync file")
        real["fsync"](handle)

    def replace(source, target):
        calls.append("rename")
        real["replace"](source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_checkpoint(tmp_path, 1, state_of(1), keep=2)
    return calls


def test_it_is_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    assert trace_of(tmp_path, monkeypatch) == ["fsync file", "rename", "fsync folder"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_disk_keeps_the_good_ones(tmp_path, monkeypatch, call, code):
    write_checkpoint(tmp_path, 1, state_of(1), keep=1)

    def fail(*args):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(TocsinError, match=rf"step-000000002.ckpt cannot be written: {os.strerror(code)}"):
            write_checkpoint(tmp_path, 2, state_of(2), keep=1)
    assert steps(tmp_path) == [1]
    assert newest_checkpoint(tmp_path)["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.ckpt"], "no litter"
    write_checkpoint(tmp_path, 2, state_of(2), keep=1)
    assert newest_checkpoint(tmp_path)["step"] == 2


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    (tmp_path / ".step-000000003.ckpt.abc.tmp").write_bytes(b"half")
    assert newest_checkpoint(tmp_path) is None
    write_checkpoint(tmp_path, 4, state_of(4), keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000004.ckpt"]


def test_weights_are_safetensors(tmp_path):
    weights = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, dtype=torch.bfloat16)}
    write_weights(tmp_path / "w.safetensors", weights)
    found = read_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(found[k], weights[k]) for k in weights)
    header = (tmp_path / "w.safetensors").read_bytes()[8:]
    assert json.loads(header[: header.index(b"}}") + 2])["a"]["shape"] == [3, 2]
