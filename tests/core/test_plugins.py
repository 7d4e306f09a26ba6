import sys
from pathlib import Path

import pytest

from core.conftest import MODULE, install
from tocsin.core.errors import InputError
from tocsin.core.plugins import detector_names, load_detector, resolve


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
