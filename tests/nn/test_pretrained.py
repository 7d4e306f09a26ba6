"""A pretrained trunk: padding and batch mates change nothing, it exports, and what does not fit is one clear line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from detectors.phishing.tiny import KINDS, PLACES, make_tiny
from tocsin.core.axes import Axis
from tocsin.core.errors import InputError
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.features.shape import SHAPE
from tocsin.detectors.phishing.model import build_model
from tocsin.engine.decisions import decision_heads
from tocsin.nn.export import export_onnx, parity
from tocsin.nn.pretrained import PretrainedTrunk, load_encoder

TOKENS = 90
"""All tiny tokenizers know more."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: make_tiny(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders["bert"], tmp_path / "copy"))


def model_of(folder: Path, **options: object) -> nn.Module:
    torch.manual_seed(0)
    settings = {"tokens": PLACES, "architecture": "pretrained", "pretrained": str(folder), "wide": 512}
    return build_model(PhishingConfig(**(settings | options)), TOKENS, len(SHAPE), 2).eval()


def arrays(rows: int, places: int, full: bool = False) -> dict[str, np.ndarray]:
    """Return rows of which the first fills its places; `full` fills all of them."""
    rng = np.random.default_rng(places)
    length = np.full(rows, places) if full else rng.integers(1, places + 1, rows)
    length[0] = places
    tokens = rng.integers(5, TOKENS, (rows, places)) * (np.arange(places) < length[:, None])
    return {
        "tokens": tokens.astype(np.int64),
        "length": length.astype(np.int64),
        "shape": rng.normal(size=(rows, len(SHAPE))).astype(np.float32),
    }


def run(model: nn.Module, found: dict[str, np.ndarray]) -> np.ndarray:
    with torch.inference_mode():
        return model(**{name: torch.from_numpy(values) for name, values in found.items()})["logit"].numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_alone_together_and_padded_are_one(folders: dict[str, Path], kind: str) -> None:
    model, found = model_of(folders[kind]), arrays(40, 40)
    together = run(model, found)
    wider = np.pad(found["tokens"], ((0, 0), (0, PLACES - 40)))
    np.testing.assert_allclose(run(model, {**found, "tokens": wider}), together, atol=2e-6)
    for row in range(0, 40, 7):
        alone = {name: values[row : row + 1] for name, values in found.items()}
        alone["tokens"] = np.ascontiguousarray(alone["tokens"][:, : int(alone["length"][0])])
        np.testing.assert_allclose(run(model, alone), together[row : row + 1], atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_mask_it_would_move(folders: dict[str, Path], kind: str) -> None:
    """The negative control: an encoder that is not told where a row ends reads what stands behind it."""
    encoder = load_encoder(str(folders[kind])).eval()
    tokens = torch.arange(5, 15)[None]
    with torch.inference_mode():
        alone = encoder(input_ids=tokens).last_hidden_state
        padded = encoder(input_ids=nn.functional.pad(tokens, (0, 8))).last_hidden_state[:, :10]
    assert (alone - padded).abs().max() > 1e-3


def test_it_is_the_model_of_the_folder(folders: dict[str, Path]) -> None:
    """Its states are those of the class of its own, read from the same file."""
    from transformers import XLMRobertaModel

    wanted = XLMRobertaModel.from_pretrained(folders["xlm-roberta"], add_pooling_layer=False).eval()
    trunk = PretrainedTrunk(str(folders["xlm-roberta"]), TOKENS, PLACES).eval()
    tokens = torch.arange(5, 25)[None]
    with torch.inference_mode():
        states = trunk.states(nn.functional.pad(tokens, (0, 4)), torch.tensor([20]))[:, :20]
        torch.testing.assert_close(states, wanted(input_ids=tokens).last_hidden_state)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_it_exports_with_free_places(folders: dict[str, Path], kind: str) -> None:
    model = model_of(folders[kind])
    axes = {"tokens": (Axis("places", "length"),)}
    heads = decision_heads(2)
    exported = export_onnx(model, arrays(8, 32), ["logit", "category"], axes)
    for places in (1, 7, 33, PLACES):
        batches = {
            rows: arrays(rows, places, full) for rows, full in ((1, True), (2, False), (7, False), (9, True))
        }
        assert max(parity(model, exported, batches, 1e-5, heads).values()) < 1e-5


def test_every_parameter_learns(folders: dict[str, Path]) -> None:
    model, found = model_of(folders["distilbert"]), arrays(40, 40)
    outputs = model(**{name: torch.from_numpy(values) for name, values in found.items()})
    (outputs["logit"].sum() + outputs["category"].square().sum()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_only_safetensors_are_read(copy: Path) -> None:
    """A planted pickle that would tell if it were opened."""
    canary = copy.parent / "opened"
    (copy / "model.safetensors").unlink()
    torch.save(_Canary(str(canary)), copy / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickled weights \(pytorch_model\.bin\)"):
        load_encoder(str(copy))
    assert not canary.exists()
    torch.load(copy / "pytorch_model.bin", weights_only=False)  # the negative control: it does tell
    assert canary.exists()


class _Canary:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path(self.path),))


def change(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_code_of_its_own_is_not_run(copy: Path) -> None:
    (copy / "evil.py").write_text(
        f"open({str(copy / 'ran')!r}, 'w')\nclass Config: pass\nclass Model: pass\n"
    )
    change(copy, model_type="evil", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    with pytest.raises(InputError, match="not a model that can be read"):
        load_encoder(str(copy))
    assert not (copy / "ran").exists()


def test_a_missing_weight_is_named(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 parameters, encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(str(copy))


def test_a_pooler_may_be_missing(copy: Path) -> None:
    weights = {n: v for n, v in load_file(copy / "model.safetensors").items() if not n.startswith("pooler.")}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert load_encoder(str(copy)).pooler is None


def test_half_precision_is_read_as_float32(copy: Path) -> None:
    weights = {name: values.half() for name, values in load_file(copy / "model.safetensors").items()}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    change(copy, dtype="float16")
    assert {p.dtype for p in load_encoder(str(copy)).parameters()} == {torch.float32}


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", ["", "{}", "no file of its kind"])
def test_a_broken_file_is_one_line(copy: Path, broken: str, content: str) -> None:
    (copy / broken).write_text(content)
    with pytest.raises(InputError, match=str(copy)) as caught:
        load_encoder(str(copy))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_more_tokens_than_places_are_refused(folders: dict[str, Path], kind: str) -> None:
    with pytest.raises(InputError, match=rf"model\.tokens: {PLACES + 4}, but .* reads {PLACES} at most"):
        model_of(folders[kind], tokens=PLACES + 4)


def test_more_tokens_than_vectors_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="tokenizer has 5,000 tokens"):
        PretrainedTrunk(str(folders["bert"]), 5000, PLACES)


def test_what_writes_too_is_no_encoder(tmp_path: Path) -> None:
    from transformers import T5Config, T5Model

    size = {"vocab_size": 300, "d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    T5Model(T5Config(**size)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="not an encoder of tokens"):
        PretrainedTrunk(str(tmp_path), TOKENS, PLACES)


def test_weights_beyond_one_file_are_refused_before_training(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.nn.pretrained.MOST_BYTES", 1000)
    with pytest.raises(InputError, match="2 GiB"):
        PretrainedTrunk(str(folders["bert"]), TOKENS, PLACES)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"architecture": "pretrained"}, "has to name"), ({"pretrained": "x"}, "alone, not by cnn-lstm")],
)
def test_the_name_and_the_architecture_go_together(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PhishingConfig(**wrong)
