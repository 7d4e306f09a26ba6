"""What every baseline promises, whoever wrote it: one test a promise, parametrised by the files."""

import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules

import pytest

from tocsin import detectors
from tocsin.core.baseline import Baseline, Rung
from tocsin.core.kinds import Decision
from tocsin.core.plugins import baseline_names, load_baseline, load_detector, rungs
from tocsin.core.recipe import AVERAGE, MODEL
from tocsin.core.recipes import load_default

FOLDER = str(Path(detectors.__file__).parent)
DETECTORS = sorted(module.name for module in iter_modules([FOLDER]) if module.ispkg)
"""Not `detector_names()`: it also lists the plug-ins that other tests of this process put beside them."""
DECIDING = [name for name in DETECTORS if isinstance(load_detector(name).kind, Decision)]
FOUND = [(detector, name) for detector in DETECTORS for name in baseline_names(detector)]
EVERYONES = ["lightgbm", "logistic", "majority", "stump", "tfidf", "tfidf-svm"]


def test_there_is_something_to_hold() -> None:
    assert {"intrusion", "phishing"} <= set(DECIDING)
    assert len(FOUND) > 10


def test_a_detector_has_its_own_before_those_of_all() -> None:
    assert baseline_names("intrusion") == EVERYONES
    assert baseline_names("phishing") == ["ngrams", "rules", *EVERYONES]


@pytest.mark.parametrize(("detector", "name"), FOUND)
def test_it_is_a_baseline_with_a_name_of_its_own(detector: str, name: str) -> None:
    assert isinstance(load_baseline(detector, name), Baseline)
    assert name not in (MODEL, AVERAGE)
    assert name == name.lower()


@pytest.mark.parametrize(("detector", "name"), FOUND)
def test_what_is_averaged_can_be_shipped(detector: str, name: str) -> None:
    baseline = load_baseline(detector, name)
    assert baseline.graph is not None or not baseline.averaged


@pytest.mark.parametrize("detector", DECIDING)
def test_a_ladder_has_every_rung_and_the_default_recipe_stands_on_each(detector: str) -> None:
    """Gate F3 asks for one of each."""
    ladder = rungs(detector)
    assert list(ladder) == list(Rung)
    reported = load_default(load_detector(detector)).evaluation.baselines
    assert [rung for rung, names in ladder.items() if not set(names) & set(reported)] == []


def test_the_rungs_of_a_detector_hold_its_own() -> None:
    assert rungs("phishing")[Rung.RULE] == ["rules", "stump"]
    assert rungs("intrusion")[Rung.RULE] == ["stump"]
    assert "ngrams" not in [name for names in rungs("phishing").values() for name in names]


def test_finding_them_brings_no_library() -> None:
    """`tocsin new` lists them where only serving is installed."""
    program = (
        "import sys\n"
        "from tocsin.core.plugins import baseline_names, load_baseline\n"
        "for detector in sys.argv[1:]:\n"
        "    for name in baseline_names(detector): load_baseline(detector, name)\n"
        "print(*sorted({'onnx', 'sklearn', 'lightgbm', 'scipy', 'torch', 'polars'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *DETECTORS], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
