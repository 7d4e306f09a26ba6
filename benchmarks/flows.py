"""Made arrays of the size of UNSW-NB15's 42 features, for measuring speed only."""

import numpy as np

from tocsin.core.types import Arrays

NUMERIC, CARDINALITIES = 39, (134, 14, 12)


def make_arrays(rows: int, seed: int = 0) -> tuple[Arrays, np.ndarray]:
    """Return model inputs of so many rows and labels [rows]."""
    rng = np.random.default_rng(seed)
    numeric = rng.normal(size=(rows, NUMERIC)).astype(np.float32)
    arrays = {
        "numeric": numeric,
        "state": np.zeros((rows, NUMERIC), np.int64),
        "categorical": np.stack([rng.integers(3, n, rows) for n in CARDINALITIES], axis=1),
    }
    return arrays, (numeric[:, 0] + numeric[:, 1] * numeric[:, 2] > 0).astype(np.int64)
