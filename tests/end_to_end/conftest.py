from pathlib import Path

import pytest

from end_to_end.letters import train


@pytest.fixture(scope="session")
def mail_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed phishing artifact, trained in seconds on messages that any model tells apart."""
    return train(tmp_path_factory.mktemp("letters"))
