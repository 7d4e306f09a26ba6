"""What `tocsin serve` and `tocsin verify` open, under which name, and what they refuse."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve.parrots import OTHER, parrot_files, parrot_manifest
from serve.toys import toy_files, toy_manifest
from tocsin.artifact.keys import load_private_key, make_keys
from tocsin.artifact.seal import seal
from tocsin.artifact.store import Store
from tocsin.cli.app import app
from tocsin.core.errors import CheckFailed, InputError, TocsinError
from tocsin.serve.service import Offer
from tocsin.serve.settings import Settings
from tocsin.workflows.using import serve
from tocsin.workflows.using.stores import Source
from tocsin.workflows.using.verify import verify_artifact


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two toys in a store, the second one the challenger."""
    found = Store(tmp_path / "store")
    for name, alias in (("first", "champion"), ("second", "challenger")):
        seal(tmp_path / name, toy_manifest(name=name), toy_files())
        number = found.add(tmp_path / name)
        found.promote(f"toy:{number}", alias)
    return found


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[Offer], Settings]]:
    """What would have been served."""
    found: list[Any] = []
    monkeypatch.setattr(serve, "run", lambda offers, settings: found.append((offers, settings)))
    return found


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    """What the user is told."""
    done = run(*arguments)
    assert isinstance(done.exception, TocsinError), done.output
    return str(done.exception)


def test_champion_and_challenger_are_served_under_their_aliases(store: Store, served: list) -> None:
    done = run("serve", "toy@challenger", "toy@champion", "toy:1", "--store", store.root, "--port", 0)
    assert done.exit_code == 0, done.output
    ((offers, settings),) = served
    found = [(offer.alias, offer.artifact.manifest.name) for offer in offers]
    assert found == [("challenger", "second"), ("champion", "first"), ("1", "first")]
    assert (settings.port, settings.require_signature) == (0, False)


@pytest.mark.parametrize(
    ("folder", "alias"),
    [("artifact", "artifact"), ("toy-3", "toy-3"), ("My Model", "default"), ("a@b", "default")],
)
def test_a_folder_goes_by_its_name(
    folder: str, alias: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(tmp_path / folder, toy_manifest(), toy_files())
    source = Source(str(tmp_path / folder), tmp_path / "store")
    assert source.alias() == source.offer().alias == alias
    monkeypatch.chdir(tmp_path / folder)
    assert Source(".", tmp_path / "store").alias() == alias


def test_what_is_served_is_checked_first(store: Store, served: list, tmp_path: Path) -> None:
    private, public = tmp_path / "a.pem", tmp_path / "a.pub.pem"
    make_keys(private, public)
    seal(tmp_path / "signed", toy_manifest(), toy_files(), load_private_key(private))
    assert "nothing-here" in refusal("serve", tmp_path / "nothing-here")
    assert "not signed" in refusal("serve", tmp_path / "first", "--key", public)
    assert "not signed" in refusal("serve", "toy@champion", "--key", public, "--store", store.root)
    assert not served
    assert run("serve", tmp_path / "signed", "--key", public).exit_code == 0
    ((offers, settings),) = served
    assert (offers[0].artifact.signed_by is not None, settings.public_key) == (True, public)


def test_a_signature_may_be_asked_for_by_a_variable(
    tmp_path: Path, served: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(tmp_path / "toy", toy_manifest(), toy_files())
    monkeypatch.setenv("TOCSIN_REQUIRE_SIGNATURE", "true")
    with pytest.raises(InputError, match="signature"):
        serve.serve_artifacts([Source(str(tmp_path / "toy"), tmp_path)], None, {})
    monkeypatch.setenv("TOCSIN_PORT", "many")
    with pytest.raises(InputError, match=r"^TOCSIN_PORT: "):
        serve.serve_artifacts([Source(str(tmp_path / "toy"), tmp_path)], None, {})
    assert not served


def test_an_alias_that_was_tampered_with_is_not_served(store: Store, served: list) -> None:
    """The version is whole, but it is not the one that the alias was set to."""
    move = store.root / "toy/aliases/champion/1.json"
    move.write_text(json.dumps(json.loads(move.read_text()) | {"version": 2}))
    assert "not the version that it was set to" in refusal("serve", "toy@champion", "--store", store.root)
    assert not served


@pytest.mark.parametrize("runtime", ["onnx", "chat"])
def test_whatever_the_runtime_an_artifact_is_verified_as_a_server_would(runtime: str, tmp_path: Path) -> None:
    manifest, files = {
        "onnx": (toy_manifest(), toy_files()),
        "chat": (parrot_manifest(), parrot_files()),
    }[runtime]
    seal(tmp_path / "model", manifest, files)
    facts = verify_artifact(Source(str(tmp_path / "model"), tmp_path))
    assert (facts["golden_samples"], facts["name"]) == {"onnx": (6, "toys"), "chat": (3, "parrots")}[runtime]


def test_a_text_that_differs_from_its_golden_one_fails_the_check(tmp_path: Path) -> None:
    seal(tmp_path / "model", parrot_manifest(), parrot_files(OTHER))
    with pytest.raises(CheckFailed, match=r"golden\.jsonl:1"):
        verify_artifact(Source(str(tmp_path / "model"), tmp_path))


def test_a_language_model_gives_no_verdicts(tmp_path: Path) -> None:
    seal(tmp_path / "model", parrot_manifest(), parrot_files())
    with pytest.raises(InputError, match="needs the runtime 'chat'"):
        Source(str(tmp_path / "model"), tmp_path).predictor()
