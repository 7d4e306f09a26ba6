"""Models and encoders that are broken in one way each, around one that is not."""

import time
from typing import Any

import numpy as np

from tocsin.core.types import Arrays


class Deaf:
    """A model that never hears one of its inputs."""

    def __init__(self, runtime: Any, column: int) -> None:
        self.runtime, self.column = runtime, column

    def run(self, arrays: Arrays) -> Arrays:
        numeric, state = arrays["numeric"].copy(), arrays["state"].copy()
        numeric[:, self.column], state[:, self.column] = 0, 0
        return self.runtime.run({**arrays, "numeric": numeric, "state": state})


class Misled:
    """A model that is pulled to the wrong side by one of its inputs."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        outputs = self.runtime.run(arrays)
        return {**outputs, "logit": outputs["logit"] - 3 * arrays["numeric"][:, 0]}


class Rare:
    """A model that looks at the first number only where it is enormous."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        enormous = arrays["numeric"][:, 0] > 4
        outputs = Deaf(self.runtime, 0).run(arrays)
        return {**outputs, "logit": outputs["logit"] + 5 * enormous.astype(np.float32)}


class Skewed:
    """An encoder that scales otherwise than in training."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def encode(self, columns: Any) -> Arrays:
        arrays = self.encoder.encode(columns)
        return {**arrays, "numeric": arrays["numeric"] * np.float32(1.5)}


class Fragile:
    """A model that breaks where something is missing."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        outputs = self.runtime.run(arrays)
        broken = (arrays["state"] > 0).sum(axis=1) > 8
        return {**outputs, "logit": np.where(broken, np.float32(np.nan), outputs["logit"])}


class Sociable:
    """A model whose answer moves with the rows beside it."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        outputs = self.runtime.run(arrays)
        return {**outputs, "logit": outputs["logit"] + np.float32(0.01) * arrays["numeric"].mean()}


class Tired:
    """A model that takes its time."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        time.sleep(0.101 if len(arrays["numeric"]) == 1 else 0.0)
        return self.runtime.run(arrays)
