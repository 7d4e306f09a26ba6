"""Runs in the peers' environment: a Keras CNN-LSTM as in the source system, at our size; prints one JSON line.

usage: KERAS_BACKEND=torch python keras_peer.py ROWS BATCH THREADS
"""

import json
import sys
import time

import keras
import numpy as np
import torch

PLACES, VOCABULARY = 256, 16_000


class Clock(keras.callbacks.Callback):
    """Notes when each batch ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def main() -> None:
    """Fit one epoch and time the batches between the first and the last."""
    rows, batch, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    length = np.clip(rng.lognormal(4.2, 0.9, rows), 4, PLACES).astype(np.int64)
    tokens = rng.integers(3, VOCABULARY, (rows, PLACES)) * (np.arange(PLACES) < length[:, None])
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((PLACES,), dtype="int64"),
            layers.Embedding(VOCABULARY, 96),
            layers.Conv1D(192, 5, padding="same", activation="relu"),
            layers.MaxPooling1D(4),
            layers.Bidirectional(layers.LSTM(64)),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer=keras.optimizers.AdamW(1e-4, clipnorm=1.0), loss="binary_crossentropy")
    clock = Clock()
    model.fit(
        tokens, rng.integers(0, 2, rows).astype("float32"), batch_size=batch, verbose=0, callbacks=[clock]
    )
    steps = len(clock.ends) - 1
    rate = steps * batch / (clock.ends[-1] - clock.ends[0])
    print(json.dumps({"rate": rate, "parameters": model.count_params()}))


if __name__ == "__main__":
    main()
