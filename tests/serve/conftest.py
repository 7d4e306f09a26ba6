from pathlib import Path

import pytest

from serve.toys import toy_files, toy_manifest
from tocsin.artifact.seal import seal


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy artifact in a folder."""
    folder = tmp_path_factory.mktemp("artifacts") / "toy"
    seal(folder, toy_manifest(), toy_files())
    return folder
