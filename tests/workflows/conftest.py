"""The reference run is trained once for all files of this folder that one process runs."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from workflows.reference_run import Reference


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> "Reference":
    from workflows.reference_run import train_reference  # imports torch: only for those who ask

    return train_reference(tmp_path_factory.mktemp("reference"))
