"""The learning-rate finder: what it recommends, that it leaves no trace, that its cache is never stale."""

import copy
import hashlib
import io
import json
import math
import random

import numpy as np
import pytest
import structlog
import torch
from PIL import Image
from torch import nn

from engine.runs import Classify, cpu, make_stage
from tocsin.core.recipe import GroupSection, LossSection, OptimSection
from tocsin.engine.generators import capture_generators
from tocsin.engine.lr_finder import (
    CACHE_HOURS,
    CAPS,
    FALLBACK,
    STEPS,
    RateSearch,
    find_rate,
    make_key,
    read_cached,
    recommend,
    weights_digest,
    write_cached,
    write_curve,
)
from tocsin.engine.state import make_state
from tocsin.engine.step import bare
from tocsin.engine.task import StepOutput


class Normed(Classify):
    """With batch norm, whose buffers move."""

    def build(self) -> nn.Module:
        model = super().build()
        model.trunk.append(nn.BatchNorm1d(self.width))
        return model


def prepared(task=None, precision="32", **optim):
    stage = make_stage(task or Normed(), optim=OptimSection(**({"learning_rate": "find"} | optim)))
    return make_state(cpu(precision), stage, 3, {}, None), stage


def fingerprint(state) -> str:
    """A hash of every byte that training could change."""
    stream = io.BytesIO()
    module = state.module
    grads = {name: p.grad for name, p in module.named_parameters()}
    modes = [part.training for part in module.modules()]
    content = [
        module.state_dict(), state.stepper.optimizer.state_dict(), grads, modes, capture_generators(),
        state.fabric.strategy.precision.state_dict(), [p.requires_grad for p in module.parameters()],
    ]  # fmt: skip
    torch.save(content, stream)
    return hashlib.sha256(stream.getvalue()).hexdigest()


@pytest.mark.parametrize("precision", ["32", "bf16", "fp16"])
@pytest.mark.parametrize("trained", [False, True])
def test_it_leaves_everything_as_it_was(precision, trained):
    state, stage = prepared(precision=precision)
    if trained:
        state.module.train()
        state.stepper(stage.train[0])
    before = fingerprint(state)
    search = find_rate(state.stepper, stage.train)
    assert fingerprint(state) == before
    assert len(search.losses) > 20
    state.stepper(stage.train[1])
    assert fingerprint(state) != before, "the hash must see a step"


def test_it_leaves_everything_as_it_was_after_an_error():
    calls = []

    def fail_late(output: StepOutput) -> StepOutput:
        calls.append(random.random())
        if len(calls) == 10:
            raise KeyError("broken")
        return output

    state, stage = prepared(Normed(spoil=fail_late))
    before = fingerprint(state)
    with pytest.raises(KeyError):
        find_rate(state.stepper, stage.train)
    assert fingerprint(state) == before


def test_the_groups_keep_their_ratios(monkeypatch):
    from tocsin.engine import lr_finder

    seen = []
    real = lr_finder.set_rate

    def spy(optimizer, rate):
        real(optimizer, rate)
        seen.append([g["lr"] for g in optimizer.param_groups])

    monkeypatch.setattr(lr_finder, "set_rate", spy)
    state, stage = prepared(groups={"head.*": GroupSection(learning_rate_scale=10)})
    find_rate(state.stepper, stage.train)
    assert seen[0][0] == pytest.approx(1e-7)
    for rates in seen:
        assert max(rates) / min(rates) == pytest.approx(10)


def curve(lowest: float, steepest: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A loss that falls most steeply at one rate, and rises beyond another."""
    rates = np.geomspace(1e-7, 1.0, STEPS)
    x = np.log10(rates)
    falling = 0.7 - 0.5 / (1 + np.exp(-(x - math.log10(steepest)) * 4))
    return tuple(rates), tuple(falling + np.where(rates > lowest, (x - math.log10(lowest)) * 2, 0))


@pytest.mark.parametrize("steepest", [1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_the_steepest_descent_is_found_in_noise(steepest, noise):
    rates, losses = curve(steepest * 100, steepest)
    noisy = np.asarray(losses) + np.random.default_rng(0).normal(size=STEPS) * noise
    found = recommend(rates, tuple(noisy))
    assert 0.3 < found.recommended / steepest < 3


@pytest.mark.parametrize(
    "losses", [[0.7] * STEPS, list(np.linspace(0.7, 90, 30)), [math.nan], [0.7, math.inf]]
)
def test_a_curve_that_never_falls_gives_the_default(losses):
    found = recommend(tuple(np.geomspace(1e-7, 1, STEPS)[: len(losses)]), tuple(losses))
    assert found.recommended == FALLBACK
    assert "default" in found.reason


def test_the_rate_is_capped():
    found = recommend(*curve(1.0, 0.3))
    assert found.recommended == CAPS[1]
    assert "capped" in found.reason


SEARCH = RateSearch((1e-4, 1e-3), (0.7, 0.6), (0.7, 0.65), 1e-3, "because")


def base_key(seed=0, fingerprint="abc", **changes):
    state, stage = prepared()
    section = stage.section.model_copy(update=changes)
    return make_key(state.stepper, section, seed, fingerprint)


def mutated_keys() -> list[dict]:
    """Every setting that the recommendation depends on, changed; 30 of them."""
    optim = OptimSection(learning_rate="find")
    sections = [{"optim": optim.model_copy(update=change)} for change in (
        {"weight_decay": 0.1}, {"betas": (0.8, 0.999)}, {"betas": (0.9, 0.99)}, {"schedule": "constant"},
        {"warmup": 0.2}, {"clip_norm": None}, {"clip_norm": 2.0}, {"final_scale": 0.1},
        {"plateau_factor": 0.1}, {"plateau_patience": 9}, {"groups": {"head.*": GroupSection()}},
        {"groups": {"head.*": GroupSection(weight_decay=0.0)}},
    )]  # fmt: skip
    sections += [{"batch_size": size} for size in (1, 16, 64)]
    sections += [{"loss": LossSection(**change)} for change in (
        {"focal_gamma": 1.5}, {"label_smoothing": 0.1}, {"class_weights": "balanced"},
        {"sampler": "weighted"},
    )]  # fmt: skip
    keys = [base_key(**section) for section in sections]
    keys += [base_key(seed=1), base_key(fingerprint="abd"), base_key(fingerprint="")]
    for task in (Classify(), Normed(width=17), Normed(dropout=0.2)):
        state, stage = prepared(task)
        keys.append(make_key(state.stepper, stage.section, 0, "abc"))
    for precision in ("bf16", "fp16"):
        state, stage = prepared(precision=precision)
        keys.append(make_key(state.stepper, stage.section, 0, "abc"))
    state, stage = prepared()
    with torch.no_grad():
        state.module.head.bias.add_(1e-6)
    keys.append(make_key(state.stepper, stage.section, 0, "abc"))
    state.stepper.micro.rows = 4
    keys.append(make_key(state.stepper, stage.section, 0, "abc"))
    keys.append(copy.deepcopy(base_key()) | {"versions": {"torch": "2.14.0"}})
    return keys


def test_a_rerun_hits_and_no_mutation_does(tmp_path):
    write_cached(tmp_path, base_key(), SEARCH)
    assert read_cached(tmp_path, base_key()) == SEARCH
    keys = mutated_keys()
    assert len(keys) >= 30
    assert [key for key in keys if read_cached(tmp_path, key) is not None] == []
    assert len({json.dumps(key, sort_keys=True) for key in keys}) == len(keys)


def test_entries_age_and_a_clock_that_goes_back_misses(tmp_path):
    key = base_key()
    write_cached(tmp_path, key, SEARCH, now=1e9)
    hour = 3600
    assert read_cached(tmp_path, key, now=1e9 + CACHE_HOURS * hour - 1) == SEARCH
    assert read_cached(tmp_path, key, now=1e9 + CACHE_HOURS * hour + 1) is None
    assert read_cached(tmp_path, key, now=1e9 - 1) is None


def test_a_damaged_entry_is_a_miss_with_a_warning(tmp_path):
    key = base_key()
    write_cached(tmp_path, key, SEARCH)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    for bad in (b"", good[:-20], good.replace(b"0.001", b"0.009"), b"[]", b"\xff\xfe", b"null"):
        path.write_bytes(bad)
        with structlog.testing.capture_logs() as logs:
            assert read_cached(tmp_path, key) is None
        assert [entry["log_level"] for entry in logs] == ["warning"]
    path.write_bytes(good)
    assert read_cached(tmp_path, key) == SEARCH


def test_an_entry_under_another_name_is_a_miss(tmp_path):
    write_cached(tmp_path, base_key(), SEARCH)
    (path,) = tmp_path.iterdir()
    other = base_key(seed=5)
    write_cached(tmp_path / "b", other, SEARCH)
    (theirs,) = (tmp_path / "b").iterdir()
    path.replace(theirs)
    assert read_cached(tmp_path / "b", other) is None


def test_the_weights_are_part_of_the_key():
    state, _ = prepared()
    module = bare(state.stepper.model)
    before = weights_digest(module)
    assert weights_digest(copy.deepcopy(module)) == before
    module.head.requires_grad_(False)
    assert weights_digest(module) != before


def test_the_curve_is_drawn_and_written(tmp_path):
    write_curve(tmp_path, recommend(*curve(1e-2, 1e-4)))
    with Image.open(tmp_path / "lr_curve.png") as image:
        assert image.size == (600, 400)
    found = json.loads((tmp_path / "lr_curve.json").read_text())
    assert len(found["rates"]) == len(found["losses"]) == STEPS
    assert found["recommended"] > 0
