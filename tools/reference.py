"""Write docs/reference from the code, so that the pages cannot drift from it: `make docs`; a test compares."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tocsin.core.durable import write_text
from tocsin.core.errors import __doc__ as exit_codes
from tocsin.core.plugins import detector_names, load_detector
from tocsin.core.recipes import annotated
from tocsin.serve.problems import CATALOGUE, PREFIX
from tocsin.serve.service import CHAMPION, RUNTIMES, UNNAMED
from tocsin.serve.settings import Settings

MADE = "<!-- made by `make docs`; change the code instead -->\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


ROUTES = {
    "onnx": "`POST /v1/<name>/predict`: verdicts. Alone in a server also `POST /predict` and `POST /v1/predict`.",
    "chat": "`POST /v1/<name>/answer`: texts. `?stream=1` sends them by server-sent events, one a token.",
}
"""Runtime -> what it answers."""

NAMES = f"""Every artifact is served under its detector and an alias. The alias comes from the store
(`phishing@challenger`, or the number of `phishing:3`) or is the name of the folder; a folder whose name could not
be an alias is `{UNNAMED}`. Two artifacts with one detector and one alias are refused.

A route begins with `/v1/<name>`. `<name>` is the detector for one artifact of each detector: the `{CHAMPION}` where
it is served, else the first that was named. For every other one it is `<detector>@<alias>`. `GET /v1/models` lists
the names. Metrics of an artifact have the labels `detector` and `alias`.
"""


def serving_page() -> str:
    """Return names, routes, the server's settings and its problem types."""
    runtimes = [(f"`{name}`", ROUTES[name]) for name in RUNTIMES]
    settings = [
        (f"`TOCSIN_{n.upper()}`", _default(f.default), f.description)
        for n, f in Settings.model_fields.items()
    ]
    problems = [(f"`{PREFIX}{kind.name}`", kind.status, kind.detail) for kind in CATALOGUE.values()]
    return (
        f"{MADE}# Serving\n\n## Names\n\n{NAMES}\n## Routes\n\n"
        "The runtime in the manifest says which routes an artifact has, beside its card `GET /v1/<name>`.\n\n"
        f"{table(['runtime', 'answers'], runtimes)}\n"
        f"## Settings\n\n{table(['variable', 'default', 'meaning'], settings)}\n## Problem types\n\n"
        "Every error is one JSON body (RFC 9457): `type, title, status, detail,"
        " instance, error, errors[{pointer, code}]`. It never repeats the input.\n\n"
        f"{table(['type', 'status', 'meaning'], problems)}"
    )


def recipe_page(name: str) -> str:
    """Return the commented default recipe of a detector."""
    head = f"{MADE}# Recipe: {name}\n\n`tocsin new {name} my-recipe.yaml` writes this file.\n"
    return f"{head}\n```yaml\n{annotated(load_detector(name))}```\n"


def exit_code_page() -> str:
    """Return the exit codes."""
    listed = (exit_codes or "").split("\n\n", 1)[1]
    return f"{MADE}# Exit codes\n\nErrors are one line on stderr that names the file, the row or the key.\n\n{listed}"


def pages() -> dict[str, str]:
    """Return file name -> content."""
    recipes = {f"recipe-{name}.md": recipe_page(name) for name in detector_names()}
    return {"serving.md": serving_page(), "exit-codes.md": exit_code_page()} | recipes


def _default(value: object) -> str:
    return "" if value is None or value == () else f"`{value}`"


if __name__ == "__main__":
    for file, content in pages().items():
        write_text(Path(sys.argv[1]) / file, content)
