"""What opens, what is refused and with which code; R11 and R46."""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from artifact.examples import KEY, OTHER_KEY, files, manifest, model, rewrite, sign_as
from tocsin.artifact import open as opening
from tocsin.artifact.keys import fingerprint, sign
from tocsin.artifact.manifest import MANIFEST, METADATA, SIGNATURE
from tocsin.artifact.open import open_artifact
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.seal import seal
from tocsin.core.errors import InputError


def test_what_was_sealed_opens(folder: Path, public_key: Path):
    artifact = open_artifact(folder, public_key=public_key, require_signature=True)
    sealed = manifest()
    assert artifact.manifest.model_copy(update={"files": {}, "seal": ""}) == sealed
    assert {name: artifact.files[name] for name in files()} == files()
    assert json.loads(artifact.files[METADATA])["trained_on"] == "cpu"
    assert artifact.digest == sha256((folder / MANIFEST).read_bytes()).hexdigest()
    assert artifact.signed_by == fingerprint(KEY.public_key())


def test_files_cannot_be_changed_afterwards(folder: Path):
    with pytest.raises(TypeError):
        open_artifact(folder).files["model.onnx"] = b""  # type: ignore[index]


def test_without_a_key_nobody_is_named(folder: Path):
    assert open_artifact(folder).signed_by is None


def test_an_unsigned_artifact_opens_where_no_signature_is_asked(tmp_path: Path):
    seal(tmp_path / "unsigned", manifest(), files())
    assert SIGNATURE not in open_artifact(tmp_path / "unsigned").files


def move(name: str, to: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).rename(folder / to)


def link(folder: Path) -> None:
    (folder / "golden.jsonl").rename(folder.parent / "outside")
    (folder / "golden.jsonl").symlink_to(folder.parent / "outside")


def link_folder(folder: Path) -> None:
    (folder / "encoder").rename(folder.parent / "outside")
    (folder / "encoder").symlink_to(folder.parent / "outside", target_is_directory=True)


def pipe(folder: Path) -> None:
    (folder / "golden.jsonl").unlink()
    os.mkfifo(folder / "golden.jsonl")


def listen(folder: Path) -> None:
    (folder / "golden.jsonl").unlink()
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket may have 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("golden.jsonl")
    finally:
        os.chdir(here)


def raw_of(folder: Path) -> bytes:
    return (folder / MANIFEST).read_bytes()


def reorder(folder: Path) -> None:
    value = json.loads((folder / MANIFEST).read_bytes())
    sign_as(folder, (json.dumps(dict(reversed(value.items())), indent=2) + "\n").encode())


def name_twice(folder: Path) -> None:
    raw = (folder / MANIFEST).read_bytes()
    line = next(line for line in raw.splitlines(keepends=True) if b'"golden.jsonl"' in line)
    sign_as(folder, raw.replace(line, line + line))


def edit_signature(field: str, value: str) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        found = json.loads((folder / SIGNATURE).read_bytes()) | {field: value}
        (folder / SIGNATURE).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")

    return edit


def naming(name: str) -> Callable[[Path], object]:
    """A manifest with one more name, properly sealed and signed."""
    return lambda folder: rewrite(folder, lambda value: value["files"].update({name: "0" * 64}))


def change_field(name: str, value: object) -> Callable[[Path], object]:
    return lambda folder: rewrite(folder, lambda found: found.update({name: value}))


def replace_model(content: bytes) -> Callable[[Path], object]:
    def replace(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(content)
        rewrite(folder, lambda value: value["files"].update({"model.onnx": sha256(content).hexdigest()}))

    return replace


def drop_model(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    rewrite(folder, lambda value: value["files"].pop("model.onnx"))


REFUSED: list[tuple[str, Callable[[Path], object]]] = [
    ("not-a-folder", lambda folder: (folder.rename(folder.parent / "a"), folder.write_bytes(b""))),
    ("unreadable", move("", "../elsewhere")),
    ("too-many-files", lambda folder: [(folder / f"{i}").touch() for i in range(opening.MAX_FILES)]),
    ("too-large", lambda folder: os.truncate(folder / "golden.jsonl", opening.MAX_BYTES + 1)),
    ("link", link),
    ("link", link_folder),
    ("link", lambda folder: (folder / "dangling").symlink_to("nowhere")),
    ("link", lambda folder: os.link(folder / "golden.jsonl", folder.parent / "second name")),
    ("special-file", pipe),
    ("special-file", listen),
    ("no-manifest", lambda folder: (folder / MANIFEST).unlink()),
    ("file-too-large", lambda folder: os.truncate(folder / MANIFEST, opening.MAX_MANIFEST + 1)),
    ("file-too-large", lambda folder: os.truncate(folder / SIGNATURE, opening.MAX_SIGNATURE + 1)),
    ("manifest-not-json", lambda folder: sign_as(folder, b"{")),
    ("manifest-not-json", lambda folder: sign_as(folder, b"\xff")),
    ("manifest-not-json", lambda folder: sign_as(folder, b"[" * 100_000)),
    ("manifest-changed", lambda folder: sign_as(folder, b'{\n  "a": "\\ud800"\n}\n')),
    ("manifest-not-canonical", reorder),
    ("manifest-not-canonical", lambda folder: sign_as(folder, b'{\n  "a": NaN\n}\n')),
    ("manifest-not-canonical", lambda folder: sign_as(folder, b'{\n  "a": 1e999\n}\n')),
    ("duplicate-key", name_twice),
    ("manifest-changed", lambda folder: sign_as(folder, raw_of(folder).replace(b"cpu", b"gpu"))),
    ("manifest-changed", lambda folder: sign_as(folder, b"[]\n")),
    ("schema-version", change_field("schema_version", 1)),
    ("schema-version", change_field("schema_version", None)),
    ("manifest-invalid", change_field("surprise", 1)),
    ("manifest-invalid", change_field("runtime", "pickle")),
    ("unsigned", lambda folder: (folder / SIGNATURE).unlink()),
    ("signature-malformed", lambda folder: (folder / SIGNATURE).write_bytes(b"")),
    ("signature-malformed", edit_signature("algorithm", "none")),
    ("signature-malformed", edit_signature("public_key", "AAAA")),
    ("signature-malformed", edit_signature("signature", "?")),
    ("wrong-identity", edit_signature("fingerprint", fingerprint(OTHER_KEY.public_key()))),
    ("wrong-identity", edit_signature("note", "more than tocsin writes")),
    ("wrong-key", lambda folder: sign_as(folder, raw_of(folder), OTHER_KEY)),
    ("bad-signature", lambda folder: (folder / SIGNATURE).write_bytes(sign(b"another manifest", KEY))),
    ("bad-signature", lambda folder: rewrite(folder, lambda value: value, key=None) or restore(folder)),
    ("name-absolute", naming("/etc/passwd")),
    ("name-absolute", naming("C:/secret")),
    ("name-absolute", naming("\\\\server\\share")),
    ("name-traversal", naming("../outside")),
    ("name-traversal", naming("encoder/../../outside")),
    ("name-traversal", naming("encoder\\..\\outside")),
    ("name-invalid", naming("")),
    ("name-invalid", naming("a\0b")),
    ("name-invalid", naming("a//b")),
    ("name-invalid", naming(".hidden")),
    ("name-invalid", naming("./golden.jsonl")),
    ("name-invalid", naming("ünïcode")),
    ("name-invalid", naming("trailing.")),
    ("name-invalid", naming("encoder/NUL.txt")),
    ("name-invalid", naming("a" * 201)),
    ("name-reserved", naming("manifest.json")),
    ("name-reserved", naming("Manifest.SIG")),
    ("name-collision", naming("Golden.jsonl")),
    ("name-collision", naming("ENCODER/other")),
    ("missing-file", lambda folder: (folder / "golden.jsonl").unlink()),
    ("missing-file", naming("encoder/other")),
    ("extra-file", lambda folder: (folder / "run.sh").write_bytes(b"")),
    ("extra-file", lambda folder: rewrite(folder, lambda value: value["files"].pop("golden.jsonl"))),
    ("renamed-file", move("golden.jsonl", "golden2.jsonl")),
    ("file-changed", lambda folder: (folder / "golden.jsonl").write_bytes(b"")),
    ("no-model", drop_model),
    ("model-malformed", replace_model(b"")),
    ("model-malformed", replace_model(b"not a model")),
    ("model-malformed", replace_model(model()[:-1])),
]  # fmt: skip


def restore(folder: Path) -> None:
    """The signature of the manifest as it was, beside a manifest that says something else."""
    raw = (folder / MANIFEST).read_bytes()
    rewrite(folder, lambda value: value.update(name="other"), key=None)
    (folder / SIGNATURE).write_bytes(sign(raw, KEY))


@pytest.mark.parametrize(
    ("code", "tamper"), REFUSED, ids=[f"{i}-{code}" for i, (code, _) in enumerate(REFUSED)]
)
def test_refused(folder: Path, public_key: Path, code: str, tamper: Callable[[Path], object]):
    tamper(folder)
    with pytest.raises(ArtifactError) as refused:
        open_artifact(folder, public_key=public_key)
    assert refused.value.code == code
    assert str(refused.value).startswith(f"{folder}: ")
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, InputError)
    assert refused.value.exit_code == 2


def test_every_code_is_refused_with_in_some_test():
    """And so the codes tell the cases apart: every one of them is raised above or below."""
    from typing import get_args

    from tocsin.artifact.refusal import Code

    elsewhere = {"no-key", "revoked-key", "external-data", "alias-changed"}
    assert {code for code, _ in REFUSED} | elsewhere == set(get_args(Code))


def test_a_required_signature_needs_a_key(folder: Path):
    with pytest.raises(ArtifactError, match="no public key was given") as refused:
        open_artifact(folder, require_signature=True)
    assert refused.value.code == "no-key"


def test_a_revoked_key_is_refused_with_and_without_trust(folder: Path, public_key: Path):
    revoked = [fingerprint(KEY.public_key())]
    for key in (public_key, None):
        with pytest.raises(ArtifactError, match="revoked") as refused:
            open_artifact(folder, public_key=key, revoked=revoked)
        assert refused.value.code == "revoked-key"


def test_a_device_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Making a device needs rights; what the system would say about one is put in its place."""
    (folder / "golden.jsonl").unlink()
    try:
        os.mknod(folder / "golden.jsonl", 0o20600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making a device file needs root")
    with pytest.raises(ArtifactError) as refused:
        open_artifact(folder)
    assert refused.value.code == "special-file"


def test_an_error_survives_a_process_boundary(folder: Path):
    import pickle

    error = pickle.loads(pickle.dumps(ArtifactError("why", "link")))
    assert (str(error), error.code) == ("why", "link")


@pytest.mark.parametrize("swap", ["link", "pipe", "folder"])
def test_a_file_that_turns_into_something_else_is_not_followed(folder: Path, swap: str):
    """Listed as a plain file, it is a link or a pipe by the time it is opened: refused, and nothing waits."""
    path = folder / "golden.jsonl"
    with (
        on_open(path.with_name("scale.bin").name, lambda: replace_by(path, swap)),
        pytest.raises(ArtifactError) as refused,
    ):
        open_artifact(folder)
    assert refused.value.code in ("unreadable", "special-file")


def replace_by(path: Path, kind: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.with_name("target").write_bytes(content)
        path.symlink_to("target")


_hooks: list[Callable[[str], object]] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _hooks and isinstance(arguments[0], str | Path):
        for hook in _hooks:
            hook(str(arguments[0]))


sys.addaudithook(_watch)


class on_open:  # noqa: N801 - reads as a verb
    """Do something once, just before a file of this name is opened."""

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        self.name, self.action = name, action

    def __enter__(self) -> None:
        _hooks.append(self._called)

    def __exit__(self, *_: object) -> None:
        _hooks.clear()

    def _called(self, path: str) -> None:
        if Path(path).name == self.name:
            _hooks.clear()
            self.action()


def test_every_file_is_opened_once(folder: Path):
    opened: list[str] = []
    _hooks.append(opened.append)
    try:
        artifact = open_artifact(folder)
    finally:
        _hooks.clear()
    assert sorted(opened) == sorted(str(folder / name) for name in artifact.files)


class Swapper(threading.Thread):
    """Puts another model in place, and the right one again, as fast as it can."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.spare = folder / "model.onnx", folder.parent
        self.contents = (model(0), model(1))
        self.stop = threading.Event()

    def run(self) -> None:
        for turn in count():
            if self.stop.is_set():
                return
            spare = self.spare / "spare"
            spare.write_bytes(self.contents[turn % 2])
            spare.replace(self.path)


@pytest.fixture
def swapper(folder: Path) -> Iterator[Swapper]:
    thread = Swapper(folder)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield thread
    sys.setswitchinterval(interval)
    thread.stop.set()
    thread.join()


def race(folder: Path, races: int) -> list[bytes]:
    """Open until so many attempts succeeded or were refused for the swap; return what would be served."""
    served = []
    for _ in range(races):
        with suppress(ArtifactError):
            served.append(open_artifact(folder).files["model.onnx"])
    return served


def test_a_swapped_file_is_never_served(folder: Path, swapper: Swapper):
    served = race(folder, 50)
    assert set(served) <= {model(0)}


@pytest.mark.release
def test_a_swapped_file_is_never_served_in_a_thousand_races(folder: Path, swapper: Swapper):
    served = race(folder, 1000)
    assert set(served) == {model(0)}


def test_a_loader_that_reads_twice_would_serve_it(folder: Path, swapper: Swapper):
    """Negative control: the race is real."""
    for _ in range(20_000):
        if race(folder, 1) and (folder / "model.onnx").read_bytes() == model(1):
            return
    pytest.fail("the swap never came between check and load")
