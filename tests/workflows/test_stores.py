"""Which artifact `tocsin scan` takes where none is named: the only champion that reads raw files."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tocsin.detectors
from serve.toys import toy_manifest
from tocsin.artifact.manifest import MANIFEST, dump_manifest
from tocsin.cli.app import app
from tocsin.core.errors import InputError
from tocsin.workflows.using.stores import find_scanner

PLUGINS = str(Path(__file__).parent / "plugins")
if PLUGINS not in tocsin.detectors.__path__:
    tocsin.detectors.__path__.append(PLUGINS)


def put(store: Path, line: str, detector: str, alias: str = "champion") -> None:
    """Add a version that only has a manifest, and point an alias at it."""
    version, moves = store / line / "versions" / "1", store / line / "aliases" / alias
    version.mkdir(parents=True)
    moves.mkdir(parents=True)
    (version / MANIFEST).write_bytes(dump_manifest(toy_manifest(detector=detector), {}))
    move = {"alias": alias, "action": "promote", "version": 1, "digest": "0" * 64, "at": "2026-11-20"}
    (moves / "1.json").write_text(json.dumps(move))


def test_the_only_champion_that_scans_is_taken(tmp_path: Path) -> None:
    put(tmp_path, "phishing", "phishing")
    assert find_scanner(tmp_path) == "phishing@champion"
    put(tmp_path, "flows", "toy")
    put(tmp_path, "gone", "nobody-has-this")
    put(tmp_path, "mailtoy", "mailtoy", "challenger")
    assert find_scanner(tmp_path) == "phishing@champion"


def test_of_several_one_must_be_named(tmp_path: Path) -> None:
    put(tmp_path, "phishing", "phishing")
    put(tmp_path, "notes", "mailtoy")
    with pytest.raises(InputError, match=r"2 champions that scan \(notes@champion, phishing@champion\)"):
        find_scanner(tmp_path)


def test_without_one_the_way_out_is_said(tmp_path: Path) -> None:
    put(tmp_path, "flows", "toy")
    for store in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="has no champion that scans: name one with --artifact"):
            find_scanner(store)


def test_the_help_says_what_each_detector_reads() -> None:
    said = CliRunner().invoke(app, ["scan", "--help"]).stdout
    assert "phishing  mail as .eml, mbox or Maildir" in said
    assert "intrusion" not in said
