from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from tocsin.core.duration import Duration
from tocsin.core.errors import InputError
from tocsin.core.recipe import DataSection, LossSection, Recipe, StageSection
from tocsin.core.schema import Schema
from tocsin.core.types import Sample, field_names, tabulate
from tocsin.detectors.intrusion.augmentation import (
    NOTICEABLE,
    Chain,
    HideFeatures,
    MaskFeatures,
    MixOutliers,
)
from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.detectors.intrusion.encode import make_encoder
from tocsin.detectors.intrusion.model import HIDDEN
from tocsin.detectors.intrusion.training import DetectTask, RestoreTask, plan, read_features
from tocsin.engine.batch import Batch
from tocsin.engine.generators import make_generator
from tocsin.engine.loop import FitOptions
from tocsin.engine.loop import fit as engine_fit
from tocsin.engine.optim import make_corrections
from tocsin.engine.task import Part, PlanContext, Stage
from truths import truths

FAMILIES = ("flood", "scan")
PLAIN = make_corrections(LossSection(), np.array([0, 1]), 2)
SMALL = IntrusionConfig(width=16, layers=1, heads=2, feedforward=16, category_min_count=1)


class Flow(Sample):
    one: float | None
    two: float | None
    three: float | None
    service: str | None


def made_flows(count: int, seed: int = 0) -> tuple[list[Flow], np.ndarray, np.ndarray]:
    """In normal flows `two` has the sign of `one`; in a scan it has not; a flood has a large `three`."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, count)
    one = rng.choice([-1.0, 1.0], count) + 0.2 * rng.normal(size=count)
    two = np.where(kind == 2, -1.0, 1.0) * np.sign(one) + 0.2 * rng.normal(size=count)
    three = rng.normal(size=count) + 4.0 * (kind == 1)
    service = rng.choice(["dns", "http", None], count)
    flows = [
        Flow(one=a, two=b, three=None if i % 17 == 0 else c, service=s)
        for i, (a, b, c, s) in enumerate(
            zip(one.tolist(), two.tolist(), three.tolist(), service, strict=True)
        )
    ]
    return flows, (kind > 0).astype(np.int64), kind - 1


def made_context(**model: Any) -> PlanContext:
    config = SMALL.model_copy(update=model)
    stages = {n: StageSection(length=Duration(1, "epochs"), batch_size=64) for n in ("pretrain", "finetune")}
    recipe = Recipe[IntrusionConfig](
        detector="intrusion",
        name="t",
        data=DataSection(sample="flow", train=("x",)),
        model=config,
        stages=stages,
    )
    schema = Schema("flow", Flow, {})
    flows, label, category = made_flows(600)
    encoder = make_encoder(config, schema).fit(tabulate(flows[:400], Flow))
    columns = tabulate(flows, Flow)
    sides = []
    for side in (slice(0, 400), slice(400, 600)):
        part = {name: values[side] for name, values in columns.items()}
        truth = truths(label[side], [FAMILIES[kind] if kind >= 0 else "" for kind in category[side]])
        sides.append(Part(part, encoder.encode(part), truth, FAMILIES))
    return PlanContext(recipe, schema, encoder, *sides, seed=1, categories=FAMILIES)


def with_stage(context: PlanContext, name: str, **changes: Any) -> PlanContext:
    stages = context.recipe.stages
    stages = stages | {name: stages[name].model_copy(update=changes)}
    return replace(context, recipe=context.recipe.model_copy(update={"stages": stages}))


def fit(stage: Stage, model: nn.Module, steps: int) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for i in range(steps):
        batch = stage.train[i]
        loss = stage.task.step(model, batch.inputs, batch.targets).loss_sum / batch.count
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def judged(stage: Stage, model: nn.Module) -> Any:
    """What the engine does with the validation rows."""
    model.eval()
    batches = [stage.valid[i] for i in range(len(stage.valid))]
    with torch.no_grad():
        outputs = [stage.task.step(model, b.inputs, b.targets) for b in batches]
    scores = {k: torch.cat([o.scores[k] for o in outputs]).numpy() for k in outputs[0].scores}
    targets = {k: torch.cat([b.targets[k] for b in batches]).numpy() for k in batches[0].targets}
    loss = sum(o.loss_sum.item() for o in outputs) / sum(b.count for b in batches)
    return stage.task.evaluate(scores, targets, loss)


def test_fine_tuning_starts_from_the_pretrained_trunk() -> None:
    pretrain, finetune = plan(made_context()).steps
    assert (pretrain.name, finetune.name) == ("pretrain", "finetune")
    [start] = finetune.init
    assert start.stage == "pretrain"
    source, target = (stage.task.build().state_dict() for stage in (pretrain, finetune))
    taken = {name for name in source if fnmatch(name, start.include)}
    assert taken == {name for name in target if name.startswith("trunk.")}
    assert {name: source[name].shape for name in taken} == {name: target[name].shape for name in taken}


def test_a_stage_of_length_0_is_skipped() -> None:
    context = with_stage(made_context(), "pretrain", length=Duration(0, "epochs"))
    [finetune] = plan(context).steps
    assert (finetune.name, finetune.init) == ("finetune", ())
    with pytest.raises(InputError, match=r"stages\.finetune\.length"):
        plan(with_stage(made_context(), "finetune", length=Duration(0, "steps")))


def test_a_tab_transformer_without_classes_has_nothing_to_pretrain() -> None:
    context = made_context(architecture="tab-transformer")
    context.encoder.__dict__["categorical"] = ()
    fitted = context.encoder._fitted  # type: ignore[attr-defined]
    context.encoder.__dict__["_fitted"] = replace(fitted, values=())
    assert [stage.name for stage in plan(context).steps] == ["finetune"]
    assert len(plan(made_context(architecture="tab-transformer")).steps) == 2


@pytest.mark.parametrize("architecture", ["ft-transformer", "tab-transformer"])
@pytest.mark.parametrize("embedding", ["linear", "piecewise"])
def test_both_stages_learn(architecture: str, embedding: str) -> None:
    torch.manual_seed(0)
    made = plan(made_context(architecture=architecture, numeric_embedding=embedding))
    for stage in made.steps:
        model = stage.task.build()
        before = judged(stage, model).value
        model.train()
        fit(stage, model, steps=150)
        after = judged(stage, model)
        # A class that is drawn apart from the rest cannot be restored: the loss falls to its entropy.
        assert after.value > before + 0.02, stage.name
    assert after.metrics["roc_auc"] > 0.65  # floods alone give 0.75


def test_pretraining_sees_unlabelled_rows_and_fine_tuning_does_not() -> None:
    context = made_context()
    strange = replace(context.valid, truth=truths(np.full(200, -1)))
    pretrain, finetune = plan(replace(context, unlabelled=strange)).steps
    assert sum(len(pretrain.train[i]) for i in range(len(pretrain.train))) == 600
    assert sum(len(finetune.train[i]) for i in range(len(finetune.train))) == 400


def test_rows_without_a_label_are_left_out() -> None:
    part = made_context().train
    some = np.where(np.arange(400) < 30, -1, part.label)
    kept = replace(part, truth=truths(some)).labelled()
    assert len(kept) == 370
    np.testing.assert_array_equal(kept.arrays["numeric"], part.arrays["numeric"][30:])
    with pytest.raises(InputError, match="no row carries a label"):
        replace(part, truth=truths(np.full(400, -1))).labelled()


def batch_of(context: PlanContext) -> Batch:
    part = context.train
    tensors = {k: torch.from_numpy(v) for k, v in part.arrays.items()}
    targets = {"label": torch.from_numpy(part.label), "category": torch.from_numpy(part.category)}
    return Batch(tensors, targets, torch.ones(len(part), dtype=torch.float64))


def test_masks_hide_present_cells_and_count_them() -> None:
    batch = batch_of(made_context())
    masked = MaskFeatures(0.3, 3)(batch, make_generator(1))
    hidden_BN, hidden_BC = masked.targets["numeric_mask"], masked.targets["categorical_mask"]
    assert torch.equal(masked.inputs["state"] == HIDDEN, hidden_BN)
    assert torch.equal(masked.inputs["categorical"] == HIDDEN, hidden_BC)
    assert not hidden_BN[batch.inputs["state"] == 1].any()
    assert not hidden_BC[batch.inputs["categorical"] == 1].any()
    assert (masked.inputs["numeric"][hidden_BN] == 0).all()
    assert torch.equal(masked.inputs["numeric"][~hidden_BN], batch.inputs["numeric"][~hidden_BN])
    assert masked.count == hidden_BN.sum() + hidden_BC.sum()
    assert hidden_BN[batch.inputs["state"] == 0].double().mean() == pytest.approx(
        0.3, abs=0.06
    )  # 4 deviations
    assert not MaskFeatures(0.3, 0)(batch, make_generator(1)).targets["numeric_mask"].any()


def test_masks_depend_on_seed_epoch_and_place_only() -> None:
    first, again = (plan(made_context()).steps[0].train for _ in range(2))
    mask = [first[i].targets["numeric_mask"] for i in (0, 1, len(first))]
    assert torch.equal(mask[1], again[1].targets["numeric_mask"])
    assert torch.equal(mask[0], again[0].targets["numeric_mask"])
    assert not torch.equal(mask[0], mask[1])
    assert not torch.equal(mask[0], mask[2])


def test_the_masks_of_the_validation_rows_stay() -> None:
    pretrain, _ = plan(made_context()).steps
    again, _ = plan(made_context()).steps
    assert torch.equal(pretrain.valid[1].inputs["state"], again.valid[1].inputs["state"])


def test_only_hidden_cells_cost() -> None:
    context = made_context()
    task = RestoreTask(read_features(context), SMALL)
    torch.manual_seed(0)
    model, masked = task.build().eval(), MaskFeatures(0.3, 3)(batch_of(context), make_generator(1))

    def loss(**changed: Tensor) -> float:
        return task.step(model, masked.inputs, masked.targets | changed).loss_sum.item()

    hidden_BN, truth_BN = masked.targets["numeric_mask"], masked.targets["numeric"]
    hidden_BC, truth_BC = masked.targets["categorical_mask"], masked.targets["categorical"]
    assert loss(numeric=torch.where(hidden_BN, truth_BN, 9.0)) == loss()
    assert loss(categorical=torch.where(hidden_BC, truth_BC, 0)) == loss()
    assert loss(numeric=torch.where(hidden_BN, 9.0, truth_BN)) > loss() + 1  # the control
    assert abs(loss(categorical=torch.where(hidden_BC, 0, truth_BC)) - loss()) > 1


@pytest.mark.parametrize("stage", [0, 1])
def test_losses_add_up_over_slices_and_allow_no_rows(stage: int) -> None:
    made = plan(made_context()).steps[stage]
    torch.manual_seed(0)
    model, batch = made.task.build().eval(), made.train[0]

    def loss(part: Batch) -> Tensor:
        return made.task.step(model, part.inputs, part.targets).loss_sum

    parts = [batch.slice(0, 10), batch.slice(10, 64)]
    torch.testing.assert_close(sum(loss(part) for part in parts), loss(batch))
    empty = loss(batch.slice(0, 0))
    assert empty.item() == 0
    empty.backward()


def test_class_weights_make_the_weighted_mean() -> None:
    context = with_stage(
        made_context(category_weight=0), "finetune", loss=LossSection(class_weights="balanced")
    )
    finetune = plan(context).steps[1]
    torch.manual_seed(0)
    model, batch = finetune.task.build().eval(), finetune.train[0]
    out = finetune.task.step(model, batch.inputs, batch.targets)
    label_B = batch.targets["label"]
    share = context.train.label.mean()
    weight_B = torch.where(label_B == 1, 1 / share, 1 / (1 - share))
    logit_B = out.scores["logit"]
    cost_B = nn.functional.binary_cross_entropy_with_logits(logit_B, label_B.float(), reduction="none")
    assert out.loss_sum.item() / batch.count == pytest.approx(
        ((cost_B * weight_B).sum() / weight_B.sum()).item(), rel=1e-5
    )


def test_the_weighted_sampler_draws_classes_equally() -> None:
    context = with_stage(made_context(), "finetune", loss=LossSection(sampler="weighted"))
    source = plan(context).steps[1].train
    label = torch.cat([source[i].targets["label"] for i in range(10 * len(source))])
    assert label.double().mean() == pytest.approx(0.5, abs=0.04)
    assert context.train.label.mean() > 0.6


def test_family_loss_needs_a_family() -> None:
    context = made_context()
    torch.manual_seed(0)
    batch, features = batch_of(context), read_features(context)
    model = DetectTask(2, 0.5, PLAIN, features, SMALL).build().eval()

    def loss(weight: float, category: Tensor) -> float:
        task = DetectTask(2, weight, PLAIN, features, SMALL)
        return task.step(model, batch.inputs, batch.targets | {"category": category}).loss_sum.item()

    known, unknown = batch.targets["category"], torch.full((400,), -1)
    assert loss(0.5, known) > loss(0.5, unknown) == loss(0, known)


def test_mixed_outliers_are_made_of_normal_rows() -> None:
    batch = batch_of(made_context())
    mixed = MixOutliers(0.8, 1.0, torch.tensor([0.5, 2.0]))(batch, make_generator(3))
    changed_B = torch.zeros(400, dtype=torch.bool)
    for name, cells_BF in mixed.inputs.items():
        smallest = NOTICEABLE if name == "numeric" else 0
        changed_B |= ((cells_BF - batch.inputs[name]).abs() > smallest).any(1)
        for column, source in zip(cells_BF.unbind(1), batch.inputs[name].unbind(1), strict=True):
            assert torch.isin(column, source).all()  # every cell is some row's cell of the same feature
    normal_B = batch.targets["label"] == 0
    assert not (changed_B & ~normal_B).any()
    assert torch.equal(mixed.targets["label"], torch.where(changed_B, 1, batch.targets["label"]))
    assert (mixed.targets["category"][changed_B] == -1).all()
    assert torch.equal(mixed.targets["category"][~changed_B], batch.targets["category"][~changed_B])
    assert torch.equal(mixed.terms_B, torch.where(mixed.targets["label"] == 1, 2.0, 0.5).double())
    assert 0.4 < changed_B[normal_B].double().mean() < 0.8
    assert len(MixOutliers(0.8, 1.0)(batch.slice(0, 0), make_generator(3))) == 0


def test_hidden_features_leave_the_targets_alone() -> None:
    batch = batch_of(made_context())
    hidden = Chain((HideFeatures(0.2),))(batch, make_generator(3))
    assert torch.equal(hidden.targets["label"], batch.targets["label"])
    assert torch.equal(hidden.terms_B, batch.terms_B)
    for name in ("state", "categorical"):
        assert (hidden.inputs[name] == HIDDEN).double().mean() == pytest.approx(0.2, abs=0.08)
    untouched = hidden.inputs["state"] != HIDDEN
    assert torch.equal(hidden.inputs["numeric"][untouched], batch.inputs["numeric"][untouched])


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.65), (0.5, 0.8, 1.0)])
def test_mixed_outliers_catch_a_family_that_was_never_seen(share: float, low: float, high: float) -> None:
    """Scans break how `one` and `two` go together; without made attacks nothing in training says so."""
    larger = {
        "width": 32,
        "feedforward": 32,
        "layers": 2,
        "attention_dropout": 0.0,
        "feedforward_dropout": 0.0,
    }
    context = made_context(outlier_share=share, outlier_cells=0.6, **larger)
    truth, unseen = context.train.truth, context.train.category == 1
    label = np.where(unseen, np.nan, truth["label"])
    seen = replace(context.train, truth={**truth, "label": label}).labelled()
    finetune = plan(replace(context, train=seen)).steps[1]
    torch.manual_seed(0)
    model = finetune.task.build()
    fit(finetune, model, steps=400)
    rows = {k: torch.from_numpy(v) for k, v in context.valid.arrays.items()}
    with torch.no_grad():
        logit = model.eval()(**rows)["logit"].numpy()
    scan_or_normal = context.valid.category != 0
    auc = roc_auc_score(context.valid.label[scan_or_normal], logit[scan_or_normal])
    assert low <= auc <= high


def test_evaluation_counts_families_alike() -> None:
    rng = np.random.default_rng(0)
    category = np.repeat([-1, 0, 1], [50, 90, 10])
    label, logit = (category >= 0).astype(np.int64), rng.normal(size=150) + 2.0 * (category == 0)
    task = DetectTask(2, 0.5, PLAIN, read_features(made_context()), SMALL)
    report = task.evaluate({"logit": logit}, {"label": label, "category": category}, 0.4)
    aucs = [roc_auc_score(label[r], logit[r]) for r in ((category < 0) | (category == c) for c in (0, 1))]
    assert report.value == pytest.approx(np.mean(aucs))
    assert report.metrics["roc_auc"] == pytest.approx(roc_auc_score(label, logit))
    alone = task.evaluate({"logit": logit[:50]}, {"label": label[:50], "category": category[:50]}, 0.4)
    assert alone.value == -0.4


def test_the_fields_of_the_sample_are_the_features() -> None:
    features = read_features(made_context())
    assert features.numeric + len(features.cardinalities) == len(field_names(Flow))


def test_the_engine_fits_both_stages(tmp_path: Path) -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    pretrain, finetune = plan(made_context(outlier_share=0.2, hide_share=0.1)).steps
    first = engine_fit(fabric, pretrain, tmp_path / "pretrain", FitOptions(seed=1))
    warm = {"pretrain": first.best}
    second = engine_fit(fabric, finetune, tmp_path / "finetune", FitOptions(seed=1, warm=warm))
    assert (first.steps, second.steps) == (7, 7)  # 400 rows in batches of 64
    assert set(first.best) & set(second.best) == {n for n in second.best if n.startswith("trunk.")}
    assert 0 <= second.report.metrics["roc_auc_over_families"] == second.report.value <= 1
