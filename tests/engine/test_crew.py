"""One process leads and the others fit beside it: results, errors, deaths, signals, and waits of any length."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.crews import Sum, add_up, refuse, wait_for_signal, wait_unprepared
from engine.hasty import dawdle, think
from tocsin.core.errors import InputError, ProcessLost
from tocsin.engine import launch as launching
from tocsin.engine.crew import ALONE, Crew, find_place, leads
from tocsin.engine.launch import launch

QUICK = 200.0
"""Seconds in which a crew of two starts and ends on a busy machine, less than any timeout of a collective here."""


@pytest.fixture(autouse=True)
def no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


def run(act: Any, told: list[str] | None = None) -> Any:
    return launch(act, lambda: 2, (told if told is not None else []).append)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_one_process_is_this_one() -> None:
    told: list[str] = []
    found = launch(partial(add_up, [Sum()]), lambda: 1, told.append)
    assert (found["pid"], found["size"], told) == (os.getpid(), 1, ["order 0"])


def test_two_do_every_order_and_the_leader_answers() -> None:
    told: list[str] = []
    found = run(partial(add_up, [Sum(), Sum()]), told)
    assert found["sums"] == [1.0, 1.0], "0 + 1: both were there"
    assert (found["rank"], found["size"]) == (0, 2)
    assert found["pid"] != os.getpid()
    assert told == ["order 0", "order 1"]


def test_a_wait_for_the_leader_is_no_collective() -> None:
    assert run(think) == 2.0


def test_and_a_collective_does_not_wait_for_ever() -> None:
    """The control of the test before: the timeout is in force."""
    with pytest.raises(ProcessLost, match="run again with --resume"):
        run(dawdle)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (refuse, InputError, "the leader refuses"),
        (partial(add_up, [Sum("refuse", rank=0)]), InputError, "this rank refuses"),
        (partial(add_up, [Sum("refuse")]), InputError, "this rank refuses"),
        (partial(add_up, [Sum("bug")]), ValueError, "this rank has a bug"),
        (partial(add_up, [Sum("die")]), ProcessLost, "process 1 was killed by SIGKILL"),
        (partial(add_up, [Sum("die", rank=0)]), ProcessLost, "process 0 was killed by SIGKILL"),
        (partial(add_up, [Sum("leave")]), ProcessLost, "process 1 ended with exit code 7 and no word"),
    ],
    ids=["leader", "leader in an order", "other in an order", "bug", "killed", "leader killed", "left"],
)
def test_what_fails_ends_all(act: Any, error: type[Exception], words: str) -> None:
    before, start = children(), time.monotonic()
    with pytest.raises(error, match=words) as caught:
        run(act)
    assert time.monotonic() - start < QUICK
    left = [pid for pid in children() - before if "resource_tracker" not in " ".join(command(pid))]
    assert not left
    if error is ValueError:
        assert "suffer" in caught.value.__notes__[0], "where it happened is told"


def command(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        return []


def test_a_signal_reaches_the_leader_once() -> None:
    def tell(message: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert launch(wait_for_signal, lambda: 2, tell) == "SIGTERM"


def test_a_signal_that_nobody_listens_to_ends_this_process_as_if_it_were_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised: list[int] = []
    monkeypatch.setattr(launching.signal, "raise_signal", raised.append)
    with pytest.raises(ProcessLost):
        launch(wait_unprepared, lambda: 2, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert raised == [signal.SIGTERM]


def test_nobody_outlives_the_parent(tmp_path: Path) -> None:
    program = (
        "from functools import partial; from engine.crews import keep_going; from tocsin.engine.launch import launch;"
        f"launch(partial(keep_going, {str(tmp_path)!r}), lambda: 2, print)"
    )
    guarded = tmp_path / "program.py"
    guarded.write_text(f"if __name__ == '__main__':\n    {program}\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, str(guarded)], env=env)
    pids = wait_for(lambda: [int(path.name[4:]) for path in tmp_path.glob("pid-*")], 2)
    assert all(psutil.pid_exists(pid) for pid in pids)
    parent.kill()
    parent.wait()
    wait_for(lambda: [pid for pid in pids if not is_running(pid)], 2)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_for(find: Any, count: int) -> list[int]:
    until = time.monotonic() + QUICK
    while len(found := find()) < count:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return list(found)


TORCHRUN = {
    "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
}  # fmt: skip
SLURM = {
    "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_NODELIST": "a1,a2", "SLURM_JOB_ID": "17",
}  # fmt: skip


@pytest.mark.parametrize("environment", [TORCHRUN, SLURM], ids=["torchrun", "SLURM"])
def test_a_process_that_was_started_beside_others_knows(environment, monkeypatch) -> None:
    assert find_place() is None
    assert leads()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_PORT", raising=False) if environment is SLURM else None
    place = find_place()
    assert place is not None
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    assert [place[name] for name in names] == ["3", "1", "4", "2"]
    assert not leads()
    size = "WORLD_SIZE" if environment is TORCHRUN else "SLURM_STEP_NUM_TASKS"
    monkeypatch.setenv(size, "1")
    assert find_place() is None, "one process is no crew"


def test_the_crew_must_be_as_large_as_the_recipe_says() -> None:
    ALONE.check(1)
    Crew(0, 4, 2).check(2)
    for crew, devices in ((ALONE, 2), (Crew(0, 4, 2), 1), (Crew(0, 2, 2), 4)):
        with pytest.raises(InputError, match=f"compute.devices is {devices}"):
            crew.check(devices)
