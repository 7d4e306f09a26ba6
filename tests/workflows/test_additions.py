"""`tocsin data add`: what is appended, what is left out, what is refused, and that nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tocsin.detectors
from tocsin.cli.app import app
from tocsin.core.errors import InputError
from tocsin.workflows.using import additions
from tocsin.workflows.using.additions import add_samples

PLUGINS = str(Path(__file__).parent / "plugins")
if PLUGINS not in tocsin.detectors.__path__:
    tocsin.detectors.__path__.append(PLUGINS)

OLD = """text,language,label
"Your account is locked, confirm your password at once or lose it",en,yes
The meeting on Monday is moved to the small room on the third floor,en,no
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(OLD)
    return path


def new(folder: Path, rows: str, header: str = "text,language,label") -> Path:
    path = folder / "new.csv"
    path.write_text(f"{header}\n{rows}\n")
    return path


def add(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["data", "add", *map(str, arguments), "--detector", "mailtoy"])


def test_rows_are_appended_and_the_old_file_is_kept(data: Path, tmp_path: Path) -> None:
    done = add(new(tmp_path, 'Lunch at noon?,en,no\n"a ""quoted"", text\nin two lines",sw,yes'), "--to", data)
    assert done.exit_code == 0
    assert done.stdout.startswith(
        f"{data}: 2 rows, 2 added, 0 exact and 0 near duplicates left out, old file kept as"
    )
    assert data.read_text() == OLD + 'Lunch at noon?,en,no\n"a ""quoted"", text\nin two lines",sw,yes\n'
    (backup,) = tmp_path.glob("data.csv.*.bak")
    assert backup.read_text() == OLD
    assert add_samples(data, data, "mailtoy", True)["added"] == 0


def test_a_dry_run_writes_nothing(data: Path, tmp_path: Path) -> None:
    done = add(new(tmp_path, "Lunch at noon?,en,no"), "--to", data, "--dry-run", "--json")
    assert json.loads(done.stdout)["added"] == 1
    assert data.read_text() == OLD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "new.csv"]


def test_columns_in_another_order_are_put_in_order(data: Path, tmp_path: Path) -> None:
    add_samples(new(tmp_path, "no,Lunch at noon?,en", "label,text,language"), data, "mailtoy", False)
    assert data.read_text() == OLD + "Lunch at noon?,en,no\n"


def test_ends_of_lines_are_those_of_the_file(data: Path, tmp_path: Path) -> None:
    data.write_bytes(OLD.strip().replace("\n", "\r\n").encode())
    add_samples(new(tmp_path, "Lunch at noon?,en,no"), data, "mailtoy", False)
    assert data.read_bytes() == (OLD + "Lunch at noon?,en,no\n").replace("\n", "\r\n").encode()


def test_repeats_are_left_out(data: Path, tmp_path: Path) -> None:
    rows = [
        '"Your account is locked, confirm your password at once or lose it",en,yes',
        '"YOUR account is locked - confirm your password at once, or lose it!",en,yes',
        "The meeting on Friday is cancelled and the minutes are in the shared folder,en,no",
        "The meeting on Friday is cancelled and the minutes are in the shared folder.,en,no",
    ]
    done = add_samples(new(tmp_path, "\n".join(rows)), data, "mailtoy", False)
    assert (done["added"], done["exact_duplicates"], done["near_duplicates"]) == (1, 1, 2)
    assert [(r["row"], r["of"], r["kind"]) for r in done["left_out"]] == [
        ("new.csv:2", "data.csv:2", "exact"),
        ("new.csv:3", "data.csv:2", "near"),
        ("new.csv:5", "new.csv:4", "near"),
    ]


def test_a_near_repeat_that_is_labelled_otherwise_is_pointed_out(data: Path, tmp_path: Path) -> None:
    rows = [
        "The meeting on Monday is moved to the small room on the third floor!,en,yes",
        "The meeting on Monday is moved to the small room on the third floor.,en,no",
    ]
    done = add(new(tmp_path, "\n".join(rows)), "--to", data)
    disputed, agreed = done.stderr.splitlines()[:2]
    assert disputed == "new.csv:2: repeats data.csv:3 (near), but is labelled otherwise: which is right?"
    assert agreed == "new.csv:3: repeats data.csv:3 (near)"
    assert data.read_text() == OLD


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("text,language,label", "fine one,en,no\nok text,en,maybe", "new.csv:3: label is 'maybe'"),
        ("text,language,label", "fine one,en,no\n,en,no", "new.csv:3: text: "),
        ("text,language,label", "fine one,en,no\na,b", "new.csv:3: 2 fields where the header has 3"),
        ("text,label", "a,no", "lacks the columns 'language' that"),
        ("text,lang,label", "a,en,no", "lacks the columns 'language' (and has 'lang') that"),
        ("text,language,label,more", "a,en,no,1", "has the columns 'more'"),
        (
            "text,language,label",
            "The meeting on Monday is moved to the small room on the third floor,en,yes",
            "new.csv:2: labelled positive, but data.csv:3 says the same and is labelled negative",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(
    header: str, rows: str, said: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        add_samples(new(tmp_path, rows, header), data, "mailtoy", False)
    assert said in str(refused.value)
    assert data.read_text() == OLD
    assert not list(tmp_path.glob("*.bak"))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("none.csv", "no such file to add to; begin with a copy of .*data.csv"),
        ("x.parquet", "only plain .csv"),
    ],
)
def test_a_bad_target_is_refused(target: str, said: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        add_samples(data, tmp_path / target, "mailtoy", False)


def test_a_file_that_changed_meanwhile_is_left_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = additions.find_repeats

    def meddle(*datasets: Any) -> Any:
        data.write_text(OLD + "by another hand,en,no\n")
        return find(*datasets)

    monkeypatch.setattr(additions, "find_repeats", meddle)
    with pytest.raises(InputError, match="changed by somebody else"):
        add_samples(new(tmp_path, "Lunch at noon?,en,no"), data, "mailtoy", False)
    assert data.read_text() == OLD + "by another hand,en,no\n"
    assert not list(tmp_path.glob("*.bak"))


def test_a_write_that_fails_leaves_the_old_file(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = additions.write_bytes

    def fail(path: Path, content: bytes) -> None:
        if path == data:
            raise OSError(28, "no space left")
        write(path, content)

    monkeypatch.setattr(additions, "write_bytes", fail)
    with pytest.raises(OSError, match="no space"):
        add_samples(new(tmp_path, "Lunch at noon?,en,no"), data, "mailtoy", False)
    assert data.read_text() == OLD


def test_rows_of_numbers_are_compared_when_rounded(tmp_path: Path) -> None:
    from tocsin.core.plugins import load_detector, resolve

    made = resolve(load_detector("intrusion").demo)(tmp_path, 0)  # type: ignore[operator]
    lines = made.read_text().splitlines()
    old, more = tmp_path / "old.csv", tmp_path / "more.csv"
    lines = [line for line in lines if line.count(",,") == 0 and not line.endswith(",")]
    old.write_text("\n".join(lines[:200]) + "\n")
    more.write_text("\n".join([lines[0], lines[5], *lines[200:210]]) + "\n")
    done = add_samples(more, old, "intrusion", False)
    assert done["exact_duplicates"] >= 1
    assert done["added"] == 11 - done["exact_duplicates"] - done["near_duplicates"] > 0
