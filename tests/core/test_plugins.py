import sys
from pathlib import Path

import pytest

from core.conftest import MODULE, install
from tocsin.core.errors import InputError
from tocsin.core.plugins import (
    baseline_names,
    detector_names,
    load_baseline,
    load_detector,
    resolve,
)


def test_a_detector_of_another_package_is_found_beside_ours(tiny):
    assert "tiny" in detector_names()
    assert "intrusion" in detector_names()


def test_names_are_listed_without_importing_what_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(tmp_path, "explosive", "explosive_detector", "raise SystemError('imported')", "explosive")
    monkeypatch.syspath_prepend(tmp_path)
    assert "explosive" in detector_names()
    with pytest.raises(SystemError):
        load_detector("explosive")


def test_an_unknown_name_is_refused_with_the_nearest(tiny):
    with pytest.raises(InputError, match="no detector 'tinny'; did you mean 'tiny'"):
        load_detector("tinny")


def test_a_clash_names_both_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(tmp_path, "intrusion", "rival_detector", MODULE, "rival")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"'intrusion': tocsin\.detectors\.intrusion and rival_detector"):
        detector_names()


@pytest.mark.parametrize("source", ["", "DETECTOR = 3", MODULE])
def test_a_module_without_the_detector_that_it_promises_is_refused(source, tmp_path, monkeypatch):
    install(tmp_path, "other", "other_detector", source, "other")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"other_detector must define DETECTOR = Detector\(name='other'"):
        load_detector("other")
    monkeypatch.delitem(sys.modules, "other_detector")


def test_a_reference_is_resolved():
    assert resolve("tocsin.core.errors:InputError") is InputError


BASELINE = """
from dataclasses import dataclass

import numpy as np

from tocsin.core.baseline import Baseline


@dataclass(frozen=True)
class Half:
    description: str = "a half"

    def predict(self, inputs):
        return np.full(len(inputs), 0.5)


BASELINE = Baseline(reads=(), fit=lambda train, valid, seed: Half())
"""


@pytest.fixture
def own_baselines(tiny):
    """A folder of baselines in the folder of a detector of somebody else's package."""
    folder = Path(sys.modules["tiny_detector"].__file__).parent / "baselines"  # type: ignore[arg-type]
    folder.mkdir()
    (folder / "__init__.py").touch()
    yield folder
    for name in [name for name in sys.modules if name.startswith("tiny_detector.")]:
        del sys.modules[name]


def test_a_detector_brings_its_own_baselines(own_baselines: Path):
    before = baseline_names("intrusion")
    (own_baselines / "one_half.py").write_text(BASELINE)
    assert baseline_names("tiny") == ["one-half", *before]
    assert load_baseline("tiny", "one-half").reads == ()
    assert baseline_names("intrusion") == before, "they are no other detector's"
    with pytest.raises(
        InputError, match=r"no baseline 'one-hal'; did you mean 'one-half'\? \(tiny has: one-half"
    ):
        load_baseline("tiny", "one-hal")


def test_a_detector_without_a_folder_of_baselines_has_those_of_all(tiny):
    assert baseline_names("tiny") == baseline_names("intrusion")
    assert "majority" in baseline_names("tiny")


def test_baselines_are_listed_without_importing_them(own_baselines: Path):
    (own_baselines / "explosive.py").write_text("raise SystemError('imported')")
    assert "explosive" in baseline_names("tiny")
    with pytest.raises(SystemError):
        load_baseline("tiny", "explosive")


def test_two_baselines_of_one_name_are_refused(own_baselines: Path):
    (own_baselines / "stump.py").write_text(BASELINE)
    with pytest.raises(
        InputError, match=r"'stump': tiny_detector\.baselines\.stump and tocsin\.baselines\.stump"
    ):
        baseline_names("tiny")


@pytest.mark.parametrize("source", ["", "BASELINE = 3"])
def test_a_file_without_the_baseline_that_it_promises_is_refused(source: str, own_baselines: Path):
    (own_baselines / "empty.py").write_text(source)
    with pytest.raises(InputError, match=r"tiny_detector\.baselines\.empty must define BASELINE"):
        load_baseline("tiny", "empty")
