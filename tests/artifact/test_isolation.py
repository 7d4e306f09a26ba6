"""R09: to open an artifact runs no code from it, imports nothing, and touches nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from tocsin.artifact.open import open_artifact
from tocsin.artifact.refusal import ArtifactError

folder, key, extra = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
forbidden = {"pickle.find_class", "marshal.loads", "marshal.load", "exec", "compile", "import"}
foreign = ("ctypes.", "socket.", "subprocess.", "os.exec", "os.system", "os.fork")
seen = []

def watch(event, arguments):
    if event in forbidden or event.startswith(foreign):
        seen.append(f"{event} {str(arguments)[:200]}")
    elif event in ("open", "os.scandir", "os.listdir", "os.chdir") and not isinstance(arguments[0], int):
        path = str(arguments[0])
        if not (path == str(key) or Path(path).is_relative_to(folder)):
            seen.append(f"{event} {path}")
    elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"):
        seen.append(f"{event} {str(arguments)[:200]}")

sys.addaudithook(watch)
try:
    outcome = open_artifact(folder, public_key=key, require_signature=True).digest
except ArtifactError as error:
    outcome = error.code
if extra:
    exec(extra)
print(outcome, *seen, sep="\\n")
"""


def trace(folder: Path, key: Path, extra: str = "") -> list[str]:
    command = [sys.executable, "-I", "-c", PROGRAM, str(folder), str(key), extra]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_opening_touches_nothing_else(folder: Path, public_key: Path):
    outcome, *seen = trace(folder, public_key)
    assert len(outcome) == 64
    assert seen == []


@pytest.mark.parametrize(("name", "content"), [
    ("golden.jsonl", b"changed"),
    ("manifest.json", b"[" * 5000),
    ("manifest.sig", b"{}"),
    ("__init__.py", b"raise SystemExit"),
    ("model.pkl", b"\x80\x04cos\nsystem\n."),
])  # fmt: skip
def test_refusing_touches_nothing_else(folder: Path, public_key: Path, name: str, content: bytes):
    (folder / name).write_bytes(content)
    outcome, *seen = trace(folder, public_key)
    assert outcome in ("file-changed", "bad-signature", "signature-malformed", "extra-file")
    assert seen == []


@pytest.mark.parametrize(("act", "event"), [
    ("import pickle, collections; pickle.loads(b'ccollections\\nOrderedDict\\n.')", "pickle.find_class"),
    ("import colorsys", "import"),
    ("import marshal; marshal.loads(b'N')", "marshal.loads"),
    ("open('/dev/null')", "open /dev/null"),
    ("import socket; socket.socket()", "socket."),
])  # fmt: skip
def test_the_trace_would_show_it(folder: Path, public_key: Path, act: str, event: str):
    assert any(line.startswith(event) for line in trace(folder, public_key, act))
