"""Put a throw-away detector among the installed packages, as `pip install` would."""

import shutil
from pathlib import Path

HERE = Path(__file__).parent


def install(detector: str, site: Path) -> Path:
    """Make `site` a folder of packages that holds one detector and nothing else; return it.

    The package has another name than the detector's folder: only its entry point says where it is.
    """
    package = f"other_{detector}"
    shutil.copytree(HERE / detector, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"{package}-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[tocsin.detectors]\n{detector} = {package}\n")
    return site
