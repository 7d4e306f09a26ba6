"""A folder with made flows and a small recipe of them."""

from pathlib import Path

from tocsin.detectors.intrusion.demo import make


def write_recipe(folder: Path, rows: int) -> Path:
    """Write the data and `recipe.yaml`; return the data."""
    data = make(folder, 0, rows=rows)
    (folder / "recipe.yaml").write_text(
        f"detector: intrusion\nname: small\noutput: {folder / 'runs'}\ndata: {{sample: flow, train: [{data}]}}\n"
    )
    return data


def sets(*pairs: str) -> list[str]:
    """Return `--set` before each."""
    return [part for pair in pairs for part in ("--set", pair)]
