"""Oracles: torch's own cross-entropies and the published focal formula."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tocsin.nn.losses import (
    balanced_weights,
    loss_terms,
    sum_binary_cross_entropy,
    sum_categorical_cross_entropy,
)

seeds = st.integers(0, 2**31)


def draw(seed: int, rows: int = 17, classes: int = 4):
    g = torch.Generator().manual_seed(seed)
    logit_BK = torch.randn(rows, classes, generator=g, dtype=torch.float32) * 4
    return logit_BK, torch.randint(classes, (rows,), generator=g), torch.rand(classes, generator=g) + 0.1


@settings(max_examples=30)
@given(seeds, st.sampled_from([0.0, 0.1, 0.3]), st.booleans())
def test_categorical_is_torchs_cross_entropy(seed, smoothing, weighted):
    logit_BK, label_B, weight_K = draw(seed)
    weight_K = weight_K if weighted else None
    ours = sum_categorical_cross_entropy(logit_BK, label_B, weight_K=weight_K, smoothing=smoothing)
    theirs = F.cross_entropy(logit_BK, label_B, weight=weight_K, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    mean = F.cross_entropy(logit_BK, label_B, weight=weight_K, label_smoothing=smoothing)
    torch.testing.assert_close(ours / loss_terms(label_B, weight_K).sum().float(), mean, rtol=1e-5, atol=1e-5)


@settings(max_examples=30)
@given(seeds, st.floats(0.1, 10))
def test_binary_is_torchs_cross_entropy(seed, positive_weight):
    logit_BK, label_B, _ = draw(seed, classes=2)
    logit_B = logit_BK[:, 0]
    ours = sum_binary_cross_entropy(logit_B, label_B, weight_2=torch.tensor([1.0, positive_weight]))
    theirs = F.binary_cross_entropy_with_logits(
        logit_B, label_B.float(), pos_weight=torch.tensor(positive_weight), reduction="sum"
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@settings(max_examples=30)
@given(seeds, st.sampled_from([0.5, 1.5, 2.0, 5.0]))
def test_focal_is_the_published_formula(seed, gamma):
    logit_BK, label_B, alpha_K = draw(seed)
    p_B = logit_BK.double().softmax(1).gather(1, label_B[:, None])[:, 0]
    published = -(alpha_K.double()[label_B] * (1 - p_B) ** gamma * p_B.log()).sum()
    ours = sum_categorical_cross_entropy(logit_BK, label_B, weight_K=alpha_K, gamma=gamma)
    torch.testing.assert_close(ours.double(), published, rtol=1e-4, atol=1e-4)
    p2_B = logit_BK[:, 0].double().sigmoid()
    p2_B = torch.where(label_B > 0, p2_B, 1 - p2_B)
    binary = sum_binary_cross_entropy(logit_BK[:, 0], (label_B > 0).long(), gamma=gamma)
    torch.testing.assert_close(
        binary.double(), -((1 - p2_B) ** gamma * p2_B.log()).sum(), rtol=1e-4, atol=1e-4
    )


def test_smoothed_binary_is_the_two_class_case():
    logit_BK, _, weight_K = draw(3, classes=2)
    label_B = torch.tensor([0, 1] * 8 + [1])
    two = torch.stack([torch.zeros(17), logit_BK[:, 0]], 1)
    for gamma in (0.0, 2.0):
        ours = sum_binary_cross_entropy(
            logit_BK[:, 0], label_B, weight_2=weight_K, gamma=gamma, smoothing=0.2
        )
        theirs = sum_categorical_cross_entropy(two, label_B, weight_K=weight_K, gamma=gamma, smoothing=0.2)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_masked_rows_cost_nothing_whatever_they_hold(gamma):
    logit_BK, label_B, _ = draw(0)
    mask_B = torch.arange(17) % 3 > 0
    spoilt_BK = logit_BK.clone()
    spoilt_BK[~mask_B] = 1e30
    label_B = torch.where(mask_B, label_B, -1)
    expected = sum_categorical_cross_entropy(logit_BK[mask_B], label_B[mask_B], gamma=gamma)
    torch.testing.assert_close(
        sum_categorical_cross_entropy(spoilt_BK, label_B, gamma=gamma, mask_B=mask_B), expected
    )
    binary = sum_binary_cross_entropy(logit_BK[:, 0], label_B, gamma=gamma, mask_B=mask_B)
    torch.testing.assert_close(
        binary, sum_binary_cross_entropy(logit_BK[mask_B, 0], label_B[mask_B], gamma=gamma)
    )
    assert loss_terms(label_B).sum() == mask_B.sum()


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_no_rows_give_exactly_zero_with_a_graph(gamma):
    layer = torch.nn.Linear(3, 2)
    empty = torch.zeros(0, dtype=torch.long)
    for loss in (
        sum_binary_cross_entropy(layer(torch.zeros(0, 3))[:, 0], empty, gamma=gamma),
        sum_categorical_cross_entropy(layer(torch.zeros(0, 3)), empty, gamma=gamma),
    ):
        assert loss.item() == 0.0
        layer.zero_grad()
        loss.backward()
        assert layer.weight.grad is not None
        assert not layer.weight.grad.any()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_sure_answers_have_finite_losses_and_gradients(gamma):
    logit_BK = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    label_B = torch.tensor([0, 0])
    loss = sum_categorical_cross_entropy(logit_BK, label_B, gamma=gamma)
    loss = loss + sum_binary_cross_entropy(logit_BK[:, 0], label_B, gamma=gamma)
    loss.backward()
    assert loss.isfinite()
    assert logit_BK.grad.isfinite().all()


def test_balanced_weights_are_rows_over_classes_times_count():
    """scikit-learn's `class_weight="balanced"`."""
    label = torch.tensor([0] * 90 + [1] * 9 + [2])
    expected = torch.tensor([100 / (3 * 90), 100 / (3 * 9), 100 / 3])
    torch.testing.assert_close(balanced_weights(label, 3), expected)
    assert balanced_weights(torch.tensor([0, 0, 2, -1]), 3).tolist() == [0.75, 0.0, 1.5]
