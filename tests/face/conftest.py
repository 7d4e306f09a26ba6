"""The folder that `docs/how-to/python.md` makes: its data and two sealed runs serve all tests of the face."""

from pathlib import Path

import pytest
import structlog
import yaml

import tocsin
from face.pages import DOCS, Page
from tocsin.face.model import Model


@pytest.fixture(autouse=True)
def fresh_logs() -> None:
    """Each test begins as a program that has set up no logs, whatever tests before it did."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page, run up to the block that trains."""
    folder = tmp_path_factory.mktemp("face")
    found = Page(DOCS / "how-to" / "python.md", folder)
    found.run(until="tocsin.train(recipe")
    lines = (folder / "data" / "made-flows.csv").read_text().splitlines(keepends=True)
    (folder / "data" / "labelled.csv").write_text("".join(lines[:2000]))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(found.scope["recipe"]))
    return found


@pytest.fixture
def here(page: Page, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder, as the working directory."""
    monkeypatch.chdir(page.folder)
    return page.folder


@pytest.fixture(scope="session")
def artifact(page: Page) -> Path:
    return page.folder / "runs/tiny/seed_1/artifact"


@pytest.fixture(scope="session")
def model(artifact: Path) -> Model:
    return tocsin.open(artifact)
