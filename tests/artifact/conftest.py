from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from artifact.examples import KEY, files, manifest
from tocsin.artifact.seal import seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A signed artifact."""
    seal(tmp_path / "sealed", manifest(), files(), KEY)
    return tmp_path / "sealed"


@pytest.fixture(scope="session")
def public_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key.pub.pem"
    path.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path
