"""A pretrained encoder as the trunk: a folder or a hub id, read by the library `transformers`.

Nothing that comes with it is run: no code of its own, no pickled weights. The artifact needs neither the folder nor
the library: the graph holds the weights, and the encoder's files the tokenizer.

Source: fine-tuning of all layers under a new head, Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding", section 3.2; mean of the last states in place of the first token's, Reimers
and Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", section 3.

Shape legend: B rows, L places for tokens, D width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tocsin.core.errors import InputError
from tocsin.features.hub import find_folder, reason
from tocsin.nn.places import mark_places, pool

SETTINGS, WEIGHTS = "config.json", ("model.safetensors", "model.safetensors.index.json")
FILES = (SETTINGS, WEIGHTS[1], "model*.safetensors")
MOST_BYTES = 2**31 - 2**24
"""A graph with its weights is one file of less than 2 GiB; the rest of the network is small."""


class PretrainedTrunk(nn.Module):
    """The encoder's last states, pooled: their maximum and mean over each row's own places.

    Errors: InputError for a model that cannot be read, is no encoder, or has too few tokens or places.
    """

    def __init__(self, where: str, vocabulary: int, places: int) -> None:
        super().__init__()
        self.encoder = load_encoder(where)
        _check_sizes(self.encoder, where, vocabulary, places)
        self.pad = getattr(self.encoder.config, "pad_token_id", None) or 0
        self.width = 2 * _measure_width(self, where, places)

    def states(self, tokens_BL: Tensor, length_B: Tensor) -> Tensor:
        """Return [B, L, D]; behind the end stands the encoder's own padding, as some count places by it."""
        inside_BL = mark_places(length_B, tokens_BL.shape[1])
        ids_BL = torch.where(inside_BL, tokens_BL, self.pad)
        found = self.encoder(input_ids=ids_BL, attention_mask=inside_BL.long(), return_dict=True)
        states_BLD: Tensor = found.last_hidden_state
        return states_BLD

    def forward(self, tokens_BL: Tensor, length_B: Tensor) -> Tensor:
        """Return [B, 2D]."""
        return pool(self.states(tokens_BL, length_B), length_B)


def load_encoder(where: str) -> Any:
    """Return the model in float32 without a pooler of its own; InputError where a file or a weight is missing."""
    from transformers import AutoModel

    folder = find_folder(where, FILES)
    _check_files(folder, where)
    with _quiet():
        try:
            model, found = AutoModel.from_pretrained(
                folder,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as error:  # noqa: BLE001 - each of its models refuses in its own way
            raise InputError(f"{where}: not a model that can be read: {reason(error)}") from None
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InputError(f"{where}: its weights lack {len(missing)} parameters, {missing[0]} among them")
    if hasattr(model, "pooler"):
        model.pooler = None  # reads the first state alone: nothing here does
    return model


def _check_files(folder: Path, where: str) -> None:
    if not (folder / SETTINGS).is_file():
        raise InputError(f"{where}: there is no {SETTINGS} in it")
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise InputError(
            f"{where}: there is no {WEIGHTS[0]} in it; pickled weights (pytorch_model.bin) can run code"
            " and are not read: save them again with safetensors"
        )


def _check_sizes(model: Any, where: str, vocabulary: int, places: int) -> None:
    known = int(model.get_input_embeddings().num_embeddings)
    if vocabulary > known:
        raise InputError(f"{where}: its tokenizer has {vocabulary:,} tokens, its model knows {known:,}")
    most = most_places(model)
    if most is not None and places > most:
        raise InputError(f"model.tokens: {places}, but {where} reads {most} at most")
    size = 4 * sum(parameter.numel() for parameter in model.parameters())
    if size > MOST_BYTES:
        raise InputError(f"{where}: {size / 2**30:.1f} GiB of weights; one ONNX file holds less than 2 GiB")


def most_places(model: Any) -> int | None:
    """Return how many tokens the model has places for; None where it does not say."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # A padding of its own means that the first place has the number behind it, as in RoBERTa.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    most = getattr(model.config, "max_position_embeddings", None)
    return int(most) if most and most > 0 else None


def _measure_width(trunk: PretrainedTrunk, where: str, places: int) -> int:
    """Run one full row and return D; InputError where there is not one state for each token."""
    tokens_1L = torch.full((1, places), trunk.pad)
    try:
        with torch.no_grad():
            shape = tuple(trunk.states(tokens_1L, torch.tensor([places])).shape)
    except Exception as error:  # noqa: BLE001 - whatever a model that is no encoder of tokens asks for
        raise InputError(f"{where}: not an encoder of tokens: {reason(error)}") from None
    if shape[:2] != (1, places):
        raise InputError(f"{where}: gives {shape[1]} states for {places} tokens")
    return int(shape[2])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from drawing bars and telling what is checked here."""
    from transformers.utils import logging

    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
