"""The networks: padding and batch mates never change an answer, and what is exported answers the same."""

import numpy as np
import pytest
import torch
from torch import nn

from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.features.shape import SHAPE
from tocsin.detectors.phishing.model import POOL, TwoWayLstm, build_model, pool, reverse
from tocsin.engine.decisions import decision_heads
from tocsin.features.tokenizer import BREAK
from tocsin.nn.export import export_onnx, parity, sized

SMALL = {
    "tokens": 32, "vocabulary": 300, "width": 16, "filters": 8, "hidden": 8, "layers": 1, "wide": 512,
}  # fmt: skip
KINDS = ("cnn-lstm", "cnn", "transformer")


def model_of(architecture: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(PhishingConfig(architecture=architecture, **(SMALL | options)), 300, len(SHAPE), 2)
    if model.wide is not None:
        nn.init.normal_(model.wide.table.weight)
    return model.eval()


def arrays(rows: int = 120, places: int = 32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    length = rng.integers(1, 21, rows)
    tokens = rng.integers(BREAK, 300, (rows, places)) * (np.arange(places) < length[:, None])
    return {
        "tokens": tokens.astype(np.int64),
        "length": length.astype(np.int64),
        "shape": rng.normal(size=(rows, len(SHAPE))).astype(np.float32),
    }


def run(model: nn.Module, found: dict[str, np.ndarray]) -> np.ndarray:
    with torch.inference_mode():
        return model(**{name: torch.from_numpy(values) for name, values in found.items()})["logit"].numpy()


@pytest.mark.parametrize("architecture", KINDS)
def test_alone_together_and_padded_are_one(architecture: str) -> None:
    model, found = model_of(architecture), arrays()
    together = run(model, found)
    cut = run(model, {**found, "tokens": np.ascontiguousarray(found["tokens"][:, :20])})
    np.testing.assert_allclose(cut, together, atol=2e-6)
    for row in range(0, 120, 13):
        alone = {name: values[row : row + 1] for name, values in found.items()}
        most = POOL * -(-int(alone["length"][0]) // POOL)
        alone["tokens"] = np.ascontiguousarray(alone["tokens"][:, :most])
        np.testing.assert_allclose(run(model, alone), together[row : row + 1], atol=2e-6)


def test_a_plain_two_way_lstm_fails_that() -> None:
    """The negative control: torch's own reads the padding, and moves with it."""
    torch.manual_seed(0)
    plain, ours = nn.LSTM(4, 6, batch_first=True, bidirectional=True), TwoWayLstm(4, 6)
    x_BPC, length_B = torch.randn(1, 12, 4), torch.tensor([5])
    x_BPC[:, 5:] = 0
    with torch.inference_mode():
        gaps = {
            name: (pool(read(x_BPC), length_B) - pool(read(x_BPC[:, :5]), length_B)).abs().max()
            for name, read in (("plain", lambda x: plain(x)[0]), ("ours", lambda x: ours(x, length_B)))
        }
    assert gaps["plain"] > 1e-3
    assert gaps["ours"] == 0


def test_it_is_the_two_way_lstm_where_there_is_no_padding() -> None:
    torch.manual_seed(0)
    ours, plain = TwoWayLstm(4, 6), nn.LSTM(4, 6, batch_first=True, bidirectional=True)
    for name, values in ours.ahead.state_dict().items():
        plain.get_parameter(name).data.copy_(values)
        plain.get_parameter(f"{name}_reverse").data.copy_(ours.back.state_dict()[name])
    x_BPC = torch.randn(3, 7, 4)
    torch.testing.assert_close(ours(x_BPC, torch.tensor([7, 7, 7])), plain(x_BPC)[0])


def test_reversing_twice_changes_nothing() -> None:
    x_BLC, length_B = torch.randn(4, 9, 3), torch.tensor([1, 4, 8, 9])
    once = reverse(x_BLC, length_B)
    torch.testing.assert_close(reverse(once, length_B), x_BLC)
    torch.testing.assert_close(once[1, :4], x_BLC[1, :4].flip(0))
    torch.testing.assert_close(once[1, 4:], x_BLC[1, 4:])


@pytest.mark.parametrize("architecture", KINDS)
@pytest.mark.parametrize("options", [{}, {"shape": False, "wide": 0}], ids=["whole", "bare"])
def test_it_exports_and_answers_the_same(architecture: str, options: dict[str, object]) -> None:
    model, found = model_of(architecture, **options), arrays()
    exported = export_onnx(model, {n: v[:8] for n, v in found.items()}, ["logit", "category"])
    assert max(parity(model, exported, sized(found, {}), 1e-5, decision_heads(2)).values()) < 1e-5


@pytest.mark.parametrize("architecture", KINDS)
def test_every_parameter_learns(architecture: str) -> None:
    model, found = model_of(architecture), arrays()
    outputs = model(**{name: torch.from_numpy(values) for name, values in found.items()})
    (outputs["logit"].sum() + outputs["category"].square().sum()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_default_has_between_one_and_eight_million_parameters() -> None:
    model = build_model(PhishingConfig(), 16_000, len(SHAPE), 3)
    assert 1e6 < sum(p.numel() for p in model.parameters()) < 8e6


@pytest.mark.parametrize("wrong", [{"kernels": [2]}, {"width": 30, "heads": 4}, {"tokens": 50}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"middle|multiple"):
        PhishingConfig(**wrong)
