import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.detectors.intrusion.model import HIDDEN, Features, MaskedFeatureModel, build_model
from tocsin.engine.decisions import decision_heads
from tocsin.nn.export import export_onnx, parity, sized

EDGES = np.sort(np.random.default_rng(0).normal(size=(5, 17)).astype(np.float32), axis=1)
FEATURES = Features(5, (6, 4), EDGES)
KINDS = {
    "mixed": FEATURES,
    "numeric": Features(5, (), EDGES),
    "categorical": Features(0, (6, 4), np.zeros((0, 17))),
}
SMALL = IntrusionConfig(width=16, layers=2, heads=4, feedforward=24)
VARIANTS = {
    "ft": SMALL,
    "ft-piecewise": SMALL.model_copy(update={"numeric_embedding": "piecewise"}),
    "tab": SMALL.model_copy(update={"architecture": "tab-transformer"}),
}


def made_rows(count: int, features: Features = FEATURES, seed: int = 0) -> dict[str, Tensor]:
    """Rows with some missing cells."""
    g = torch.Generator().manual_seed(seed)
    ids = [torch.randint(0, c, (count, 1), generator=g) for c in features.cardinalities]
    return {
        "numeric": torch.randn(count, features.numeric, generator=g),
        "state": (torch.rand(count, features.numeric, generator=g) < 0.2).long(),
        "categorical": torch.cat([torch.zeros(count, 0, dtype=torch.int64), *ids], dim=1),
    }


def built(name: str, features: Features = FEATURES, families: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return build_model(features, VARIANTS[name], families).eval()


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("features", KINDS)
@pytest.mark.parametrize("families", [0, 3])
def test_outputs_are_named_and_shaped(name: str, features: str, families: int) -> None:
    kind = KINDS[features]
    outputs = built(name, kind, families)(**made_rows(7, kind))
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {"logit": (7,)} | (
        {"category": (7, 3)} if families else {}
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_learns(name: str) -> None:
    model, rows = built(name), made_rows(200)
    rows["state"][::3, :] = HIDDEN
    outputs = model(**rows)
    (outputs["logit"].sum() + outputs["category"].pow(2).sum()).backward()
    # The trunk's [CLS] is read by the FT-Transformer alone, and an empty bin or an unseen id has no rows.
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


@pytest.mark.parametrize("name", VARIANTS)
def test_a_row_alone_equals_the_row_among_others(name: str) -> None:
    model, rows = built(name), made_rows(33)
    together = model(**rows)["logit"]
    for i in (0, 16, 32):
        alone = model(**{k: v[i : i + 1] for k, v in rows.items()})["logit"]
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("absent", [1, HIDDEN])
def test_an_absent_number_is_replaced(name: str, absent: int) -> None:
    model, rows = built(name), made_rows(9)
    rows["state"].zero_()
    seen = model(**rows)["logit"]
    changed = dict(rows, numeric=rows["numeric"].clone(), state=rows["state"].clone())
    changed["numeric"][:, 2] = 3.5
    assert (model(**changed)["logit"] - seen).abs().max() > 1e-6  # the control: a present number counts
    changed["state"][:, 2] = absent
    without = model(**changed)["logit"]
    assert (without - seen).abs().max() > 1e-6 or name == "tab"  # its substitutes start at 0
    for value in (0.0, 99.0, float("nan")):
        changed["numeric"][:, 2] = value
        assert torch.equal(model(**changed)["logit"], without)


def test_missing_and_hidden_are_two_tokens() -> None:
    model, rows = built("ft"), made_rows(9)
    missing, hidden = (dict(rows, state=torch.full_like(rows["state"], s)) for s in (1, HIDDEN))
    assert (model(**missing)["logit"] - model(**hidden)["logit"]).abs().max() > 1e-6


@pytest.mark.parametrize("name", VARIANTS)
def test_one_batch_is_learned_by_heart(name: str) -> None:
    torch.manual_seed(0)
    model, rows = build_model(FEATURES, VARIANTS[name], 3), made_rows(32)
    truth = torch.arange(32).remainder(2).float()[torch.randperm(32)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        loss = nn.functional.binary_cross_entropy_with_logits(model(**rows)["logit"], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(model.eval()(**rows)["logit"] > 0, truth > 0)


@pytest.mark.parametrize(("architecture", "most"), [("ft-transformer", 1.0e6), ("tab-transformer", 1.25e6)])
def test_the_default_size_on_unsw(architecture: str, most: float) -> None:
    """39 numeric and 3 categorical features; 131 protocols, 13 services, 7 states and 3 special ids each."""
    config = IntrusionConfig(architecture=architecture)
    model = build_model(Features(39, (134, 16, 10)), config, families=9)
    assert (config.width, config.layers, config.heads) == (128, 4, 8)
    assert 0.8e6 < sum(p.numel() for p in model.parameters()) < most


def test_piecewise_numbers_beyond_training_count_as_the_nearest_edge() -> None:
    model, rows = built("ft-piecewise"), made_rows(4)
    rows["state"].zero_()
    last_BN = torch.as_tensor(EDGES[:, -1]).expand(4, 5)
    far, edge = dict(rows, numeric=last_BN + 1e6), dict(rows, numeric=last_BN)
    torch.testing.assert_close(model(**far)["logit"], model(**edge)["logit"])


@pytest.mark.parametrize(
    ("name", "features"),
    [("ft", "mixed"), ("ft", "categorical"), ("ft-piecewise", "numeric"), ("tab", "mixed")],
)
def test_export_keeps_rows_free_and_answers_equal(name: str, features: str) -> None:
    model, kind = built(name, KINDS[features]), KINDS[features]
    rows = {k: v.numpy() for k, v in made_rows(64, kind).items()}
    exported = export_onnx(model, {k: v[:3] for k, v in rows.items()}, ["logit", "category"])
    assert (
        max(
            parity(model, exported, sized(rows, {}, (1, 5)), tolerance=1e-5, heads=decision_heads(2)).values()
        )
        <= 1e-5
    )


def test_masked_features_are_restored_from_the_others() -> None:
    """Each number equals the first and the class is its sign: what is hidden follows from what is not."""
    torch.manual_seed(0)
    model = MaskedFeatureModel(Features(3, (5,)), SMALL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(250):
        x_B1 = torch.randn(64, 1)
        rows = {
            "numeric": x_B1.expand(64, 3).clone(),
            "state": torch.zeros(64, 3, dtype=torch.int64),
            "categorical": 3 + (x_B1 > 0).long(),
        }
        rows["state"][:, 1] = HIDDEN
        hidden = dict(rows, categorical=torch.full((64, 1), HIDDEN))
        outputs = model(**hidden)
        loss = (outputs["numeric"][:, 1] - x_B1[:, 0]).square().mean() + nn.functional.cross_entropy(
            outputs["classes"], rows["categorical"][:, 0]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.5
    assert losses[-1] < 0.3


def test_pretraining_and_fine_tuning_share_a_trunk() -> None:
    for name, config in VARIANTS.items():
        pretrained, model = MaskedFeatureModel(FEATURES, config), built(name)
        assert model.trunk.load_state_dict(pretrained.trunk.state_dict()).missing_keys == []
