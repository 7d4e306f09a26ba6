import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from shutil import which

import pytest


@pytest.fixture(scope="session")
def real_mail(shared_data: Path) -> list[tuple[str, bytes]]:
    """(name, message) of the 500 raw messages; skipped, saying why, without the archive or its program."""
    archive = shared_data / "phishing" / "mail.tar.zst"
    if not archive.exists() or which("zstd") is None:
        pytest.skip(f"needs {archive} and the program zstd")
    content = subprocess.run(["zstd", "-dc", archive], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(content)) as tar:
        return [(member.name, file.read()) for member in tar if (file := tar.extractfile(member)) is not None]
