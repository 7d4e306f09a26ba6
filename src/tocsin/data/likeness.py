"""Which rows of a dataset know of each other, so that they count together in intervals and tests.

Shapes: N rows.
"""

import numpy as np

from tocsin.core.recipe import SplitSection
from tocsin.data.clusters import connect, near_duplicates
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import text_keys


def dependent_rows(dataset: Dataset, section: SplitSection) -> np.ndarray:
    """Return the group of each row, int64 [N]: near-duplicates, and rows of one declared group, share one."""
    declared = [] if dataset.group is None else [text_keys(dataset.group)]
    return connect([near_duplicates(dataset.columns, section.digits, section.text), *declared], len(dataset))
