"""One optimizer step: the gradient is that of the whole window, however it is cut, scaled or interrupted."""

import math
from typing import ClassVar

import pytest
import structlog
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.runs import FEATURES, Classify, cpu, make_rows, make_section
from tocsin.core.axes import Axes
from tocsin.core.errors import InputError
from tocsin.core.heads import LOGIT, Head
from tocsin.core.recipe import OptimSection
from tocsin.engine.batch import Batch
from tocsin.engine.optim import make_optimizer
from tocsin.engine.step import MicroBatches, Stepper, bare, train_step
from tocsin.engine.task import StepOutput
from tocsin.nn.losses import sum_binary_cross_entropy

LENGTH = 7
UNCLIPPED = OptimSection(clip_norm=None)


class Tagger(nn.Module):
    """A logit for each of L places."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(FEATURES, 12)
        self.head = nn.Linear(12, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"tags": self.head(torch.tanh(self.trunk(x))).squeeze(-1)}


class Tag:
    """Loss over the unmasked places of ragged rows."""

    def build(self) -> nn.Module:
        torch.manual_seed(5)
        return Tagger()

    heads: ClassVar[tuple[Head, ...]] = (LOGIT,)

    target_axes: ClassVar[Axes] = {}

    def step(self, model, inputs, targets) -> StepOutput:
        scores = model(x=inputs["x"])
        mask = inputs["mask"].flatten()
        return StepOutput(
            sum_binary_cross_entropy(scores["tags"].flatten(), targets["tags"].flatten(), mask_B=mask), scores
        )

    def evaluate(self, scores, targets, loss):
        raise NotImplementedError


def ragged(lengths: list[int], seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    rows = len(lengths)
    mask = torch.arange(LENGTH) < torch.tensor(lengths)[:, None]
    x = torch.randn(rows, LENGTH, FEATURES, generator=g)
    tags = torch.randint(2, (rows, LENGTH), generator=g)
    return Batch({"x": x, "mask": mask}, {"tags": tags}, mask.sum(1).double())


def gradients(task, window: list[Batch], precision: str = "32", optim: OptimSection = UNCLIPPED):
    fabric = cpu(precision)
    module = task.build()
    model, optimizer = fabric.setup(module, make_optimizer(module, optim, 0.0, fused=precision != "fp16"))
    result = train_step(fabric, task, model, optimizer, window, optim)
    return {name: p.grad.clone() for name, p in module.named_parameters()}, result


def difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """Largest difference relative to the largest gradient."""
    return max(float((a[k] - b[k]).abs().max()) for k in a) / max(float(v.abs().max()) for v in a.values())


class MeanOfMeans(Tag):
    """What most loops do: a mean per micro-batch, divided by the number of micro-batches."""

    heads: ClassVar[tuple[Head, ...]] = (LOGIT,)

    target_axes: ClassVar[Axes] = {}

    def step(self, model, inputs, targets) -> StepOutput:
        output = super().step(model, inputs, targets)
        return StepOutput(output.loss_sum / inputs["mask"].sum().clamp(min=1), output.scores)


def one_term_each(batches: list[Batch]) -> list[Batch]:
    return [
        Batch(b.inputs, b.targets, torch.ones(len(b), dtype=torch.float64) / max(len(b), 1)) for b in batches
    ]


@settings(max_examples=20)
@given(st.lists(st.integers(1, LENGTH), min_size=8, max_size=8), st.integers(0, 1000))
def test_accumulation_is_exact_on_ragged_rows(lengths, seed):
    batch = ragged(lengths, seed)
    whole, of_whole = gradients(Tag(), [batch])
    for size in (1, 3):
        parts, of_parts = gradients(Tag(), MicroBatches(size).split(batch))
        assert difference(whole, parts) < 1e-6
        assert of_parts.loss == pytest.approx(of_whole.loss, rel=1e-6)
        assert of_parts.count == sum(lengths)


def test_a_mean_of_means_is_found_out():
    batch = ragged([1, 7, 2, 7, 1, 1, 5, 3])
    whole, _ = gradients(MeanOfMeans(), one_term_each([batch]))
    parts, _ = gradients(MeanOfMeans(), one_term_each(MicroBatches(1).split(batch)))
    assert difference(whole, parts) > 0.01


def test_zero_rows_and_zero_terms_change_nothing():
    batch = ragged([3, 5, 1])
    padded, _ = gradients(Tag(), [batch, batch.slice(0, 0), ragged([0, 0])])
    alone, _ = gradients(Tag(), [batch])
    assert difference(alone, padded) < 1e-6
    none, result = gradients(Tag(), [ragged([0, 0])])
    assert result.loss == 0
    assert not any(v.any() for v in none.values())


def test_norms_are_those_of_the_gradients():
    optim = OptimSection(clip_norm=0.05)
    free, _ = gradients(Tag(), [ragged([5, 7, 2])])
    clipped, result = gradients(Tag(), [ragged([5, 7, 2])], optim=optim)

    def norm(grads: dict[str, Tensor], prefix: str = "") -> float:
        return math.sqrt(sum(float(v.square().sum()) for k, v in grads.items() if k.startswith(prefix)))

    assert result.norm_before == pytest.approx(norm(free), rel=1e-5)
    assert result.norm_before > 0.05
    assert result.norm_after == pytest.approx(norm(clipped), rel=1e-5)
    assert norm(clipped) <= 0.05 * (1 + 1e-3)
    assert result.blocks == pytest.approx(
        {"trunk": norm(free, "trunk"), "head": norm(free, "head")}, rel=1e-5
    )


def stepper(task, precision: str = "32", micro: int | None = None, **optim) -> Stepper:
    section = OptimSection(**({"learning_rate": 1e-2} | optim))
    fabric = cpu(precision)
    module = task.build()
    raw = make_optimizer(module, section, 1e-2, fused=precision != "fp16")
    model, optimizer = fabric.setup(module, raw)
    return Stepper(fabric, task, model, optimizer, section, MicroBatches(micro))


def rows_batch(rows: int = 32) -> Batch:
    inputs, targets = make_rows(rows)
    return Batch(
        {k: torch.from_numpy(v) for k, v in inputs.items()},
        {k: torch.from_numpy(v) for k, v in targets.items()},
        torch.ones(rows, dtype=torch.float64),
    )


class Unscaled:
    """A precision plugin whose unscaling was deleted."""

    @staticmethod
    def break_it(step: Stepper) -> None:
        step.fabric.strategy.precision.unscale_gradients = lambda optimizer: None


@pytest.mark.parametrize("unscale", [True, False])
def test_fp16_clips_the_unscaled_gradient(unscale):
    torch.manual_seed(0)
    reference = stepper(Classify(dropout=0.0), clip_norm=0.1)(rows_batch())
    torch.manual_seed(0)
    half = stepper(Classify(dropout=0.0), "fp16", clip_norm=0.1)
    half.fabric.strategy.precision.scaler._init_scale = 1024.0
    if not unscale:
        Unscaled.break_it(half)
    result = half(rows_batch())
    good = result.norm_before == pytest.approx(reference.norm_before, rel=0.01)
    applied = math.sqrt(sum(float(p.grad.square().sum()) for p in bare(half.model).parameters()))
    good = good and applied <= 0.1 * (1 + 1e-3) and not result.skipped
    assert good is unscale


def test_fp16_backs_off_on_overflow_and_recovers():
    huge = Classify(dropout=0.0, spoil=lambda o: StepOutput(o.loss_sum * 1e4, o.scores))
    step = stepper(huge, "fp16")
    before = {k: v.clone() for k, v in bare(step.model).state_dict().items()}
    results = [step(rows_batch())]
    assert results[0].skipped
    assert math.isfinite(results[0].loss)
    assert all(torch.equal(before[k], v) for k, v in bare(step.model).state_dict().items())
    while results[-1].skipped:
        results.append(step(rows_batch()))
        assert results[-1].scale == results[-2].scale / 2
    assert any(not torch.equal(before[k], v) for k, v in bare(step.model).state_dict().items())


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_gradient_that_is_not_finite_changes_no_weight(precision):
    step = stepper(Classify(spoil=lambda o: StepOutput(o.loss_sum * math.nan, o.scores)), precision)
    before = {k: v.clone() for k, v in bare(step.model).state_dict().items()}
    result = step(rows_batch())
    assert result.skipped
    assert math.isnan(result.loss)
    assert all(torch.equal(before[k], v) for k, v in bare(step.model).state_dict().items())


def test_half_the_micro_batch_after_out_of_memory():
    torch.manual_seed(0)
    plain = stepper(Classify(dropout=0.0))
    expected = plain(rows_batch(30))
    torch.manual_seed(0)
    task = Classify(dropout=0.0, largest=9)
    small = stepper(task)
    with structlog.testing.capture_logs() as logs:
        result = small(rows_batch(30))
    assert result.loss == pytest.approx(expected.loss, rel=1e-6)
    for a, b in zip(bare(plain.model).parameters(), bare(small.model).parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert [(entry["tried"], entry["now"]) for entry in logs] == [(30, 15), (15, 8)]
    task.tried.clear()
    small(rows_batch(30))
    assert max(task.tried) == 8, "the smaller size is remembered"


def test_one_row_that_does_not_fit_is_the_end():
    with pytest.raises(InputError, match=r"one row at a time.*out of memory"):
        stepper(Classify(largest=0))(rows_batch(4))


def test_other_errors_are_not_taken_for_a_full_memory():
    def fail(output):
        raise RuntimeError("shapes differ")

    task = Classify(spoil=fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        stepper(task)(rows_batch(4))
    assert len(task.tried) == 1


def test_outputs_are_summarised_over_the_window():
    torch.manual_seed(0)
    one = stepper(Classify(dropout=0.0))(rows_batch(32)).outputs["logit"]
    torch.manual_seed(0)
    many = stepper(Classify(dropout=0.0), micro=1)(rows_batch(32)).outputs["logit"]
    assert many.rows == one.rows == 32
    assert (many.mean, many.std) == pytest.approx((one.mean, one.std), rel=1e-5)
    assert (many.share, many.accuracy) == (one.share, one.accuracy)
    alone = stepper(Classify())(rows_batch(1)).outputs["logit"]
    assert math.isnan(alone.std), "one row has no spread"


def test_micro_batch_of_the_recipe_is_used():
    task = Classify()
    stepper(task, micro=5)(rows_batch(12))
    assert task.tried == [5, 5, 2]
    assert make_section().batch_size == 32
