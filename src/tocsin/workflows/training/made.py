"""The data that a detector makes of itself; apart from the demo, as it takes no torch."""

from pathlib import Path

from tocsin.core.plugins import load_detector, resolve


def make_data(detector: str, output: Path, seed: int) -> Path:
    """Write the detector's made data into a folder and return the file."""
    output.mkdir(parents=True, exist_ok=True)
    data: Path = resolve(load_detector(detector).demo)(output, seed)  # type: ignore[operator]
    return data
