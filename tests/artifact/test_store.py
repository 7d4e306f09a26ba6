"""Versions and aliases: R07, R49, and many writers at once."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifact.examples import KEY, OTHER_KEY, files, manifest
from tocsin.artifact.open import open_artifact
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.seal import seal
from tocsin.artifact.store import Store
from tocsin.core.errors import InputError

TESTS = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path: Path, public_key: Path) -> Store:
    """A store with three signed versions of intrusion."""
    store = Store(tmp_path / "store", public_key, require_signature=True)
    for version in range(1, 4):
        assert store.add(make(tmp_path, version)) == version
    return store


def make(folder: Path, version: int) -> Path:
    path = folder / f"sealed-{version}"
    seal(path, manifest(version=str(version)), files(version), KEY)
    return path


def test_versions_are_numbered_and_open(store: Store):
    assert [(v.line, v.number, v.manifest and v.manifest.version) for v in store.versions("intrusion")] == [
        ("intrusion", number, str(number)) for number in (1, 2, 3)
    ]
    assert store.lines() == ["intrusion"]
    assert store.open("intrusion:2").manifest.version == "2"
    assert store.resolve("intrusion:2") == store.root / "intrusion" / "versions" / "2"


def test_a_version_is_a_copy(store: Store, tmp_path: Path):
    original = open_artifact(tmp_path / "sealed-1")
    assert store.open("intrusion:1").files == original.files
    (tmp_path / "sealed-1" / "model.onnx").write_bytes(b"")
    assert store.open("intrusion:1").files == original.files


def test_a_path_is_a_reference_too(store: Store, tmp_path: Path):
    assert store.open(str(tmp_path / "sealed-3")).digest == store.open("intrusion:3").digest


def test_the_same_artifact_is_added_once(store: Store, tmp_path: Path):
    assert store.add(tmp_path / "sealed-2") == 2
    assert len(store.versions("intrusion")) == 3


def test_a_damaged_version_is_replaced_by_adding_it_again(store: Store, tmp_path: Path):
    (store.resolve("intrusion:2") / "model.onnx").write_bytes(b"")
    assert store.add(tmp_path / "sealed-2") == 4
    assert store.open("intrusion:4").manifest.version == "2"


def test_a_line_may_have_a_name_of_its_own(store: Store, tmp_path: Path):
    assert store.add(tmp_path / "sealed-2", line="intrusion-netflow") == 1
    assert store.lines() == ["intrusion", "intrusion-netflow"]
    assert store.open("intrusion-netflow:1").manifest.version == "2"


def test_aliases_move_and_return(store: Store):
    for number in (1, 2, 3):
        store.promote(f"intrusion:{number}", "champion")
    assert store.open("intrusion@champion").manifest.version == "3"
    assert store.rollback("intrusion", "champion").version == 2
    assert store.rollback("intrusion", "champion").version == 1
    assert store.open("intrusion@champion").manifest.version == "1"
    with pytest.raises(InputError, match="no previous version"):
        store.rollback("intrusion", "champion")
    store.promote("intrusion:3", "champion")
    assert store.rollback("intrusion", "champion").version == 1
    actions = [(move.action, move.version) for move in store.history("intrusion", "champion")]
    assert actions == [
        *(("promote", number) for number in (1, 2, 3)), ("rollback", 2), ("rollback", 1),
        ("promote", 3), ("rollback", 1),
    ]  # fmt: skip


def test_a_challenger_becomes_champion(store: Store):
    store.promote("intrusion:2", "challenger")
    store.promote("intrusion@challenger", "champion")
    store.promote("intrusion:3", "challenger")
    assert store.aliases("intrusion") == {"challenger": 3, "champion": 2}
    assert [version.aliases for version in store.versions("intrusion")] == [
        (),
        ("champion",),
        ("challenger",),
    ]


@pytest.mark.parametrize(("reference", "message"), [
    ("intrusion:9", r"no intrusion:9 \(versions: 1, 2, 3\)"),
    ("intrusion@champions", "no intrusion@champions; did you mean 'intrusion@champion'"),
    ("phishing@champion", "no phishing@champion$"),
    ("phishing:1", r"no phishing:1 \(versions: none\)"),
    ("nowhere", "No such file"),
    ("intrusion:0", "No such file"),
    ("Intrusion@champion", "No such file"),
])  # fmt: skip
def test_what_is_not_there_says_so(store: Store, reference: str, message: str):
    store.promote("intrusion:1", "champion")
    with pytest.raises(InputError, match=message):
        store.open(reference)


def test_only_what_is_in_the_store_is_promoted(store: Store, tmp_path: Path):
    with pytest.raises(InputError, match="not in the store"):
        store.promote(str(tmp_path / "sealed-1"), "champion")


def test_what_is_damaged_is_neither_promoted_nor_returned_to(store: Store):
    store.promote("intrusion:1", "champion")
    store.promote("intrusion:2", "champion")
    for number in (1, 3):
        (store.resolve(f"intrusion:{number}") / "model.onnx").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        store.promote("intrusion:3", "champion")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        store.rollback("intrusion", "champion")
    assert store.open("intrusion@champion").manifest.version == "2"


def test_an_exchanged_version_does_not_pass_for_the_champion(store: Store):
    """Both are sealed and signed; the alias remembers which one was promoted."""
    store.promote("intrusion:1", "champion")
    store.promote("intrusion:3", "champion")
    versions = store.root / "intrusion" / "versions"
    (versions / "3").rename(versions / "30")
    (versions / "2").rename(versions / "3")
    with pytest.raises(ArtifactError) as refused:
        store.open("intrusion@champion")
    assert refused.value.code == "alias-changed"
    (versions / "1").rename(versions / "10")
    (versions / "30").rename(versions / "1")
    with pytest.raises(ArtifactError) as refused:
        store.rollback("intrusion", "champion")
    assert refused.value.code == "alias-changed"


def test_unsigned_and_foreign_artifacts_stay_out(store: Store, tmp_path: Path):
    seal(tmp_path / "unsigned", manifest(), files())
    seal(tmp_path / "foreign", manifest(), files(), OTHER_KEY)
    for name, code in (("unsigned", "unsigned"), ("foreign", "wrong-key")):
        with pytest.raises(ArtifactError) as refused:
            store.add(tmp_path / name)
        assert refused.value.code == code
    assert len(store.versions("intrusion")) == 3


def test_a_damaged_move_is_one_clear_line(store: Store):
    store.promote("intrusion:1", "champion")
    path = store.root / "intrusion" / "aliases" / "champion" / "1.json"
    path.write_text("{}")
    with pytest.raises(InputError, match=r"1\.json cannot be read") as error:
        store.open("intrusion@champion")
    assert "\n" not in str(error.value)


def test_what_cannot_be_read_is_still_listed(store: Store):
    (store.root / "intrusion" / "versions" / "2" / "manifest.json").write_text("{}")
    assert [v.manifest is None for v in store.versions("intrusion")] == [False, True, False]


def test_a_gap_in_the_history_is_no_trap(store: Store):
    for number in (1, 2, 3):
        store.promote(f"intrusion:{number}", "champion")
    (store.root / "intrusion" / "aliases" / "champion" / "1.json").unlink()
    store.promote("intrusion:1", "champion")
    assert store.open("intrusion@champion").manifest.version == "1"


def test_rollback_is_quick(store: Store):
    store.promote("intrusion:1", "champion")
    store.promote("intrusion:2", "champion")
    start = time.perf_counter()
    store.rollback("intrusion", "champion")
    assert time.perf_counter() - start < 5


def test_a_move_is_synced_before_it_shows(store: Store, monkeypatch: pytest.MonkeyPatch):
    events: list[str] = []
    fsync, link = os.fsync, os.link

    def note_sync(handle: int) -> None:
        events.append(re.sub(r"\.[0-9a-f]{12}\.tmp", "", str(Path(f"/proc/self/fd/{handle}").readlink())))
        fsync(handle)

    def note_link(source: Path, target: Path) -> None:
        events.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "link", note_link)
    store.promote("intrusion:1", "champion")
    folder = store.root / "intrusion" / "aliases" / "champion"
    at = events.index("link")
    assert any(Path(path).name.lstrip(".").startswith("1.json") for path in events[:at])
    assert events[at + 1 :] == [str(folder)]
    assert {str(folder), str(folder.parent), str(store.root / "intrusion")} <= set(events[:at])


HOSTILE = [
    prefix * depth + target + suffix
    for prefix in (
        "../",
        "..\\",
        "%2e%2e%2f",
        "%252e%252e%252f",
        "..%2f",
        "..%5c",
        "%c0%ae%c0%ae/",
        "..;/",
        "....//",
        "/",
    )
    for depth in (1, 3, 8)
    for target in ("etc/passwd", "intrusion", "windows/win.ini", "")
    for suffix in ("", "\0", "\0.json", "\n", ".", "/", "%00")
] + [
    "\\\\host\\share",
    "//host/share",
    "C:\\",
    "file:///etc/passwd",
    "~",
    "~root",
    "",
    ".",
    "..",
    "con:",
    "a b",
    "ａ",
    "İ",
]


@pytest.mark.parametrize("kind", ["line", "alias"])
def test_no_name_leads_out_of_the_store(store: Store, kind: str, tmp_path: Path):
    assert len(HOSTILE) > 500
    before = sorted(tmp_path.rglob("*"))
    for name in HOSTILE:
        line, alias = (name, "champion") if kind == "line" else ("intrusion", name)
        for act in (
            lambda line=line, alias=alias: store.history(line, alias),
            lambda line=line, alias=alias: store.rollback(line, alias),
            lambda line=line, alias=alias: store.promote(f"{line}:1", alias),
            lambda line=line, alias=alias: store.promote(f"{line}@{alias}", "champion"),
        ):
            with pytest.raises(InputError):
                act()
        if kind == "line" and name:
            with pytest.raises(InputError, match="is no name for a line"):
                store.add(tmp_path / "sealed-1", line=name)
    assert sorted(tmp_path.rglob("*")) == before


def test_many_writers_lose_nothing(tmp_path: Path):
    store = Store(tmp_path / "store")
    folders = [make(tmp_path, version) for version in range(24)]
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(store.add, folders))
        moves = list(pool.map(lambda n: store.promote(f"intrusion:{n}", "champion"), numbers))
    assert sorted(numbers) == list(range(1, 25))
    for folder, number in zip(folders, numbers, strict=True):
        assert store.open(f"intrusion:{number}").digest == open_artifact(folder).digest
    history = store.history("intrusion", "champion")
    assert (
        sorted(move.version for move in history)
        == sorted(move.version for move in moves)
        == list(range(1, 25))
    )
    assert not [path for path in store.root.rglob("*") if path.name.startswith(".")], "nothing is left over"


WORKER = """
import random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tocsin.artifact.store import Store
store, rng = Store(Path(sys.argv[1]), Path(sys.argv[4])), random.Random()
sealed = sorted(Path(sys.argv[2]).glob("sealed-*"))
print("ready", flush=True)
while True:
    number = store.add(rng.choice(sealed), line=rng.choice(["intrusion", f"line{rng.randrange(10**6)}"]))
    if store.versions("intrusion"):
        store.promote(f"intrusion:{rng.choice(store.versions('intrusion')).number}", "champion")
        store.promote("intrusion@champion", "challenger")
    try:
        store.rollback("intrusion", "champion")
    except Exception as error:
        assert "no previous" in str(error), error
"""


def kill_workers(folder: Path, public_key: Path, kills: int) -> int:
    """Kill, over and over, a process that adds, promotes and rolls back; return the number of moves made."""
    store, rng = Store(folder / "store", public_key), random.Random(10)
    store.add(make(folder, 1))
    make(folder, 2)
    store.promote("intrusion:1", "champion")
    command = [sys.executable, "-c", WORKER, str(store.root), str(folder), str(TESTS), str(public_key)]
    for _ in range(kills):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
            assert worker.stdout
            assert worker.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0, 0.4))
            worker.send_signal(signal.SIGKILL)
            assert worker.wait() == -signal.SIGKILL, worker.stderr and worker.stderr.read().decode()
        assert store.open("intrusion@champion").signed_by
        for line in store.lines():
            for version in store.versions(line):
                assert store.open(f"{line}:{version.number}").signed_by
    return len(store.history("intrusion", "champion"))


def test_a_kill_never_breaks_an_alias(tmp_path: Path, public_key: Path):
    assert kill_workers(tmp_path, public_key, 5) > 1


@pytest.mark.release
@pytest.mark.timeout(3600)
def test_two_hundred_kills_never_break_an_alias(tmp_path: Path, public_key: Path):
    assert kill_workers(tmp_path, public_key, 200) > 200


STEPS = """
import os, sys
from pathlib import Path
from tocsin.artifact.store import Store

store, left = Store(Path(sys.argv[1]), Path(sys.argv[2])), 0

def watch(event, arguments):
    global left
    is_write = event == "open" and ".tmp" in str(arguments[0])
    if is_write or event in ("os.link", "os.rename", "os.remove", "os.mkdir"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)

sys.addaudithook(watch)
for step in range(1, 40):
    child = os.fork()
    if not child:
        left = step
        store.promote("intrusion:2", "champion")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(status, store.open("intrusion@champion").manifest.version)
    if status == 0:
        break
"""


def test_a_kill_inside_each_step_of_a_move(tmp_path: Path, public_key: Path):
    """Not left to chance: a process dies at the first, the second, ... file operation of a promotion."""
    store = Store(tmp_path / "store", public_key)
    for version in (1, 2):
        store.add(make(tmp_path, version))
    store.promote("intrusion:1", "champion")
    command = [sys.executable, "-c", STEPS, str(store.root), str(public_key)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    outcomes = [tuple(map(int, line.split())) for line in result.stdout.splitlines()]
    assert outcomes[0] == (signal.SIGKILL, 1)
    assert outcomes[-1] == (0, 2)
    assert len(outcomes) > 4, "a promotion has several steps"
    versions = [version for _, version in outcomes]
    assert versions == sorted(versions)
