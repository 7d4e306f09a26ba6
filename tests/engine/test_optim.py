"""Optimizer groups, schedules, averaged weights, corrections for rare classes."""

import math
from itertools import pairwise

import numpy as np
import pytest
import structlog
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tocsin.core.errors import InputError
from tocsin.core.recipe import GroupSection, LossSection, OptimSection
from tocsin.engine.optim import make_average, make_corrections, make_optimizer, set_rate
from tocsin.engine.schedule import Schedule, rate_factor


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.encoder = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4))
        self.head = nn.Linear(4, 1)


def settings_of(optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    groups = optimizer.param_groups
    return {n: (g["scale"], g["weight_decay"]) for g in groups for n in g["param_names"]}


def test_only_matrices_of_layers_decay():
    found = settings_of(make_optimizer(Model(), OptimSection(weight_decay=0.1), 1e-3))
    decayed = {name for name, (_, decay) in found.items() if decay}
    assert decayed == {"encoder.0.weight", "encoder.2.weight", "head.weight"}
    assert set(found) == {name for name, _ in Model().named_parameters()}


def test_the_last_glob_that_matches_decides():
    groups = {
        "encoder.*": GroupSection(learning_rate_scale=0.1),
        "*.bias": GroupSection(learning_rate_scale=0.5, weight_decay=0.2),
        "embed.*": GroupSection(learning_rate_scale=0),
    }
    model = Model()
    optimizer = make_optimizer(model, OptimSection(weight_decay=0.1, groups=groups), 1e-3)
    found = settings_of(optimizer)
    assert found["encoder.0.weight"] == (0.1, 0.1)
    assert found["encoder.0.bias"] == (0.5, 0.2), "a decay of its own also reaches what is spared otherwise"
    assert found["head.weight"] == (1.0, 0.1)
    assert "embed.weight" not in found
    assert not model.embed.weight.requires_grad
    set_rate(optimizer, 1e-2)
    assert {g["scale"]: g["lr"] for g in optimizer.param_groups} == pytest.approx(
        {0.1: 1e-3, 0.5: 5e-3, 1.0: 1e-2}
    )


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [("encodr.*", "encoder.*"), ("haed.weight", "head.weight"), ("embed.wieght", "embed.weight")],
)
def test_a_glob_that_matches_nothing_names_the_nearest(pattern, nearest):
    with pytest.raises(InputError) as error:
        make_optimizer(Model(), OptimSection(groups={pattern: GroupSection()}), 1e-3)
    assert str(error.value) == f"optim.groups: '{pattern}' matches no parameter; did you mean '{nearest}'?"


def test_nothing_left_to_train_is_refused():
    with pytest.raises(InputError, match="every parameter is frozen"):
        make_optimizer(Model(), OptimSection(groups={"*": GroupSection(learning_rate_scale=0)}), 1e-3)


@given(st.integers(1, 500), st.floats(0, 0.9), st.floats(0, 1))
def test_the_cosine_rises_then_falls_to_its_last_share(total, warmup, final):
    optim = OptimSection(schedule="cosine", warmup=warmup, final_scale=final)
    factors = [rate_factor(optim, step, total) for step in range(total + 5)]
    warm = round(warmup * total)
    assert all(a < b for a, b in pairwise(factors[:warm]))
    assert all(a >= b for a, b in pairwise(factors[warm:]))
    assert all(0 <= f <= 1 for f in factors)
    assert factors[0] > 0, "no step is wasted at rate 0"
    assert factors[total] == pytest.approx(final if warm < total else 1.0)


def test_constant_stays_at_the_peak():
    optim = OptimSection(schedule="constant", warmup=0.1)
    assert [rate_factor(optim, s, 20) for s in range(5)] == [0.5, 1, 1, 1, 1]


def test_a_plateau_lowers_the_rate_and_remembers():
    optim = OptimSection(schedule="plateau", warmup=0.0, plateau_factor=0.5, plateau_patience=1)
    schedule = Schedule(optim, 1.0, 100)
    seen = []
    for value in (0.1, 0.2, 0.2, 0.1, 0.1, 0.1, 0.3, math.nan):
        schedule.evaluate(value)
        seen.append(schedule.rate())
    assert seen == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]
    other = Schedule(optim, 9.0, 100)
    other.load_state_dict(schedule.state_dict())
    assert other == schedule


def test_the_average_is_the_exponential_one_and_buffers_are_copied():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = make_average(model, 0.9)
    expected = None
    for step in range(4):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(float(step))
            model[1].running_mean.add_(1.0)
        average.update_parameters(model)
        now = model[0].weight.detach().clone()
        expected = now if expected is None else 0.9 * expected + 0.1 * now
    torch.testing.assert_close(average.module[0].weight.detach(), expected)
    assert torch.equal(average.module[1].running_mean, model[1].running_mean)


@pytest.mark.parametrize(
    ("changes", "stacked"),
    [
        ({}, 0),
        ({"focal_gamma": 2.0, "label_smoothing": 0.1}, 0),
        ({"class_weights": "balanced", "sampler": "weighted"}, 2),
        ({"class_weights": "balanced", "sampler": "weighted", "focal_gamma": 1.5}, 3),
    ],
)
def test_stacked_corrections_are_warned_about(changes, stacked):
    label = np.array([0] * 9 + [1] + [-1] * 5)
    with structlog.testing.capture_logs() as logs:
        found = make_corrections(LossSection(**changes), label, 2)
    assert len(found.warnings) == len(logs) == (1 if stacked else 0)
    if stacked:
        assert f"{stacked} corrections" in found.warnings[0]
    assert (found.weight_K is None) == ("class_weights" not in changes)
    if found.weight_K is not None:
        assert found.weight_K.tolist() == pytest.approx([10 / 18, 5.0])
    assert found.draw == changes.get("sampler", "shuffle")
