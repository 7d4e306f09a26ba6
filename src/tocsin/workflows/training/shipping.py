"""Ship a baseline, or its average with the network, like any network: exported, held to its library, judged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tocsin.core.baseline import Fitted, Inputs
from tocsin.core.durable import write_bytes
from tocsin.core.encoder import Encoder
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.flat import FlatEncoder, FlatPart
from tocsin.core.heads import probability
from tocsin.core.plugins import baseline_names, load_baseline
from tocsin.core.recipe import AVERAGE, MODEL, Recipe
from tocsin.core.types import Arrays, rows, take
from tocsin.engine.decisions import decision_heads
from tocsin.metrics.calibration import fit_temperature
from tocsin.nn.export import sized
from tocsin.nn.onnx_graph import LOGIT, Graph, add_logits, build_model
from tocsin.nn.sessions import open_session, score
from tocsin.workflows.training.members import Member, score_part

Tell = Callable[[str], None]
Ladder = Mapping[str, Fitted[Any]]
"""Name in the report -> a fitted baseline."""
CHECKED = 4096
"""Rows on which an exported model is held to its library."""


def needed(recipe: Recipe[Any], arrays: Arrays) -> tuple[str, ...]:
    """Return the baselines that `export.ship` is made of."""
    if recipe.export.ship == AVERAGE:
        return tuple(name for name in mixture(recipe, arrays) if name != MODEL)
    return () if recipe.export.ship == MODEL else (recipe.export.ship,)


def mixture(recipe: Recipe[Any], arrays: Arrays) -> Mapping[str, float]:
    """Return part -> weight of the average, the model first.

    Without weights it is the model and every baseline that is `averaged` and whose arrays are there, all alike.
    """
    weights = recipe.export.weights
    if weights is not None:
        return dict(sorted(weights.items(), key=lambda item: item[0] != MODEL))
    known = {name: load_baseline(recipe.detector, name) for name in baseline_names(recipe.detector)}
    usual = [n for n, baseline in known.items() if baseline.averaged and not baseline.missing(arrays)]
    return dict.fromkeys([MODEL, *usual], 1.0)


def choose_shipped(network: Member, ladder: Ladder, tell: Tell) -> Member:
    """Return the member that is to be packaged: the network, or what the recipe ships in its place.

    Errors: InputError where the encoder's arrays cannot be flattened in a graph, CheckFailed where the exported
    model answers otherwise than its library.
    """
    recipe, arrays = network.job.recipe, network.parts.train.arrays
    if recipe.export.ship == MODEL:
        return network
    tell(f"export: {recipe.export.ship} is shipped in place of {network.job.name}")
    made = [_export_baseline(network, ladder[name]) for name in needed(recipe, arrays)]
    if recipe.export.ship != AVERAGE:
        return made[0]
    return _average([network, *made], list(mixture(recipe, arrays).values()))


def check_shippable(recipe: Recipe[Any], encoder: Encoder, arrays: Arrays) -> None:
    """Raise InputError, best before training, where a graph cannot follow what `export.ship` needs."""
    for name in needed(recipe, arrays):
        baseline = load_baseline(recipe.detector, name)
        reason = baseline.unreadable(encoder, arrays)
        if reason:
            raise InputError(f"export.ship: {name} reads {reason}")
        if baseline.reads == "flat" and not _flat_parts(encoder):
            raise InputError(
                f"export.ship: {name} reads flat features, and the arrays of {recipe.detector} cannot be flattened"
                " in a graph: ship the model itself"
            )


def _flat_parts(encoder: Encoder) -> tuple[FlatPart, ...]:
    """Return how a graph flattens the encoder's arrays; empty where it cannot."""
    return encoder.flat_parts() if isinstance(encoder, FlatEncoder) else ()


def _export_baseline(network: Member, fitted: Fitted[Any]) -> Member:
    """Return a member that is a baseline: one logit, and no kinds, since baselines tell none."""
    parts = network.parts
    assert fitted.baseline.graph is not None  # the recipe was held to those that have one
    graph = Graph(fitted.name, _flat_parts(parts.encoder))
    logit = fitted.baseline.graph(graph, fitted.model)
    onnx = build_model(graph, parts.valid.arrays, logit, parts.encoder.axes)
    return _stand_in(network, fitted, onnx, _compare(onnx, fitted, network))


def _stand_in(network: Member, fitted: Fitted[Any], onnx: bytes, gaps: Mapping[str, float]) -> Member:
    """Put an exported baseline in the network's place; `gaps`: rows of a batch -> its distance to the library."""
    job = replace(network.job, name=fitted.name, folder=network.job.folder.parent / fitted.name)
    parts = replace(network.parts, categories=())
    known = replace(
        network, job=job, parts=parts, model=None, heads=decision_heads(0), parity=gaps, int8=None
    )
    return _rescore(known, onnx, fitted.seconds)


def _compare(onnx: bytes, fitted: Fitted[Any], network: Member) -> dict[str, float]:
    """Return rows of a batch -> largest difference in probability between the graph and the library."""
    parts, allowed = network.parts, network.job.recipe.export.parity
    total = len(parts.train)
    drawn = take(parts.train.arrays, np.unique(np.linspace(0, total - 1, min(CHECKED, total)).astype(int)))
    axes = parts.encoder.axes
    batches = {**sized(drawn, axes), rows(parts.valid.arrays): parts.valid.arrays}
    session = open_session(onnx)

    def gap(arrays: Arrays) -> float:
        found = probability(score(session, arrays, axes)[LOGIT])
        return float(np.abs(found - fitted.model.predict(Inputs(parts.encoder, arrays))).max())

    gaps = {str(size): gap(arrays) for size, arrays in batches.items()}
    if not max(gaps.values()) <= allowed:
        raise CheckFailed(
            f"{fitted.name} as ONNX differs from its library by {max(gaps.values()):.2e} in probability;"
            f" {allowed:.0e} is allowed"
        )
    return gaps


def _average(members: Sequence[Member], weights: Sequence[float]) -> Member:
    """Return the weighted mean of calibrated logits, the network's first; the kinds are the network's."""
    network, share = members[0], np.array(weights) / sum(weights)
    factors = [float(s / member.temperature) for s, member in zip(share, members, strict=True)]
    onnx = add_logits([member.onnx for member in members], factors)
    job = replace(network.job, name=AVERAGE, folder=network.job.folder.parent / AVERAGE)
    worst = {size: max(m.parity.get(size, 0.0) for m in members) for size in network.parity}
    mixed = _rescore(replace(network, job=job, parity=worst), onnx, sum(m.seconds for m in members))
    wanted = np.sum(
        [f * m.logit(m.valid).astype(np.float64) for f, m in zip(factors, members, strict=True)], axis=0
    )
    difference = float(np.abs(probability(mixed.logit(mixed.valid)) - probability(wanted)).max())
    if not difference <= network.job.recipe.export.parity:
        raise CheckFailed(f"the average as ONNX differs from the mean of its parts by {difference:.2e}")
    return mixed


def _rescore(member: Member, onnx: bytes, seconds: float) -> Member:
    """Give a member another exported model, and everything that follows from its answers."""
    write_bytes(member.job.folder / "model.onnx", onnx)
    valid = score_part(onnx, member.heads, member.parts.valid, member.parts, member.job)
    temperature = fit_temperature(member.parts.valid.label, valid[LOGIT]).temperature
    return replace(member, onnx=onnx, valid=valid, temperature=temperature, seconds=seconds)
