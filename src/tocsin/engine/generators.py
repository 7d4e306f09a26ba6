"""Random generators: made from numbers, captured, and put back, so that a resumed run draws the same."""

import random
from typing import Any

import numpy as np
import torch


def make_generator(*numbers: int) -> torch.Generator:
    """Return a generator that depends on all the numbers, in their order; neighbours are independent."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    # torch takes seeds up to 2^63 - 1 in some builds
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


def seed_generators(seed: int) -> None:
    """Seed Python, numpy's global generator, and torch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global one is what third-party code draws from
    torch.manual_seed(seed)


def capture_generators() -> dict[str, Any]:
    """Return the state of every global generator in types that `torch.load(weights_only=True)` reads."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": [name, torch.tensor(keys, dtype=torch.int64), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_generators(state: dict[str, Any]) -> None:
    """Put every global generator back to what `capture_generators` saw."""
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
