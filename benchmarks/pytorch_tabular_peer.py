"""Runs in the peers' environment: pytorch-tabular's FT-Transformer at our size; prints one JSON line.

usage: python pytorch_tabular_peer.py ROWS BATCH THREADS HEAD_WIDTH

pytorch-tabular 1.2 ignores its own `transformer_head_dim`, so that each of the 8 heads is as wide as the model
(2.7 M parameters). HEAD_WIDTH 16 hands it through, which makes the two models the same size.
"""

import functools
import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
import torch

warnings.filterwarnings("ignore")

from pytorch_tabular import TabularModel  # noqa: E402
from pytorch_tabular.config import DataConfig, OptimizerConfig, TrainerConfig  # noqa: E402
from pytorch_tabular.models import FTTransformerConfig  # noqa: E402
from pytorch_tabular.models.ft_transformer import ft_transformer  # noqa: E402

NUMERIC, CARDINALITIES = 39, (134, 14, 12)


def main() -> None:
    """Fit one epoch and time the training batches between the first and the last."""
    rows, batch, threads, head = map(int, sys.argv[1:])
    ft_transformer.TransformerEncoderBlock = functools.partial(
        ft_transformer.TransformerEncoderBlock, transformer_head_dim=head
    )
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    numeric = rng.normal(size=(rows, NUMERIC)).astype(np.float32)
    frame = pd.DataFrame(numeric, columns=[f"n{i}" for i in range(NUMERIC)])
    for i, n in enumerate(CARDINALITIES):
        frame[f"c{i}"] = rng.integers(3, n, rows).astype(str)
    frame["label"] = (numeric[:, 0] + numeric[:, 1] * numeric[:, 2] > 0).astype(int)
    model = TabularModel(
        data_config=DataConfig(
            target=["label"],
            continuous_cols=list(frame.columns[:NUMERIC]),
            categorical_cols=["c0", "c1", "c2"],
        ),
        model_config=FTTransformerConfig(
            task="classification",
            input_embed_dim=128,
            num_heads=8,
            num_attn_blocks=4,
            ff_hidden_multiplier=3,
            transformer_activation="ReGLU",
            batch_norm_continuous_input=False,
        ),
        optimizer_config=OptimizerConfig(optimizer="AdamW"),
        trainer_config=TrainerConfig(
            batch_size=batch,
            max_epochs=1,
            accelerator="cpu",
            early_stopping=None,
            checkpoints=None,
            load_best=False,
            progress_bar="none",
            gradient_clip_val=1.0,
            trainer_kwargs={"enable_model_summary": False, "limit_val_batches": 0, "num_sanity_val_steps": 0},
        ),
        verbose=False,
        suppress_lightning_logger=True,
    )
    times: list[float] = []
    from pytorch_lightning import Callback

    class Clock(Callback):
        def on_train_batch_end(self, *_: object) -> None:
            times.append(time.perf_counter())

    model.fit(train=frame, validation=frame.head(batch), callbacks=[Clock()])
    rate = batch * (len(times) - 2) / (times[-2] - times[0]) if len(times) > 3 else float("nan")
    parameters = sum(p.numel() for p in model.model.parameters())
    sys.stdout.write("\n" + json.dumps({"rate": rate, "parameters": parameters, "steps": len(times)}) + "\n")


if __name__ == "__main__":
    main()
