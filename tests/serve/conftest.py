from pathlib import Path

import pytest

from serve.parrots import parrot_files, parrot_manifest
from serve.toys import toy_files, toy_manifest
from tocsin.artifact.seal import seal


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy artifact in a folder."""
    folder = tmp_path_factory.mktemp("artifacts") / "toy"
    seal(folder, toy_manifest(), toy_files())
    return folder


@pytest.fixture(scope="session")
def sealed_parrot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The language model in a folder."""
    folder = tmp_path_factory.mktemp("artifacts") / "parrot"
    seal(folder, parrot_manifest(), parrot_files())
    return folder
