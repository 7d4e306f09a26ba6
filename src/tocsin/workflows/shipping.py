"""Ship a baseline, or its average with the network, like any network: exported, held to its library, judged."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from tocsin.audit.baselines import Baseline
from tocsin.core.detector import Encoder
from tocsin.core.durable import write_bytes
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.flat import FlatEncoder
from tocsin.core.recipe import Recipe
from tocsin.core.types import Arrays, rows, take
from tocsin.metrics.calibration import fit_temperature
from tocsin.nn.export import open_session, sized
from tocsin.nn.graphs import Graph, add_matrix, average_models, build_model
from tocsin.nn.linear import add_additive
from tocsin.nn.trees import add_trees
from tocsin.workflows.members import Member, Parts, score

Tell = Callable[[str], None]
MODEL, AVERAGE, BOOSTED, LINEAR = "model", "average", "lightgbm", "logistic"
NEEDED: Mapping[str, tuple[str, ...]] = {
    MODEL: (),
    BOOSTED: (BOOSTED,),
    LINEAR: (LINEAR,),
    AVERAGE: (BOOSTED,),
}
"""`export.ship` -> the baselines that it is made of."""
CHECKED = 4096
"""Rows on which an exported model is held to its library."""


def choose_shipped(network: Member, baselines: Mapping[str, Baseline], tell: Tell) -> Member:
    """Return the member that is to be packaged: the network, or what the recipe ships in its place.

    Errors: InputError where the encoder's arrays cannot be flattened in a graph, CheckFailed where the exported
    model answers otherwise than its library.
    """
    wanted = network.job.recipe.export.ship
    if wanted == MODEL:
        return network
    tell(f"export: {wanted} is shipped in place of {network.job.name}")
    (name,) = NEEDED[wanted]
    baseline = _export_baseline(network, baselines[name])
    return _average(network, baseline) if wanted == AVERAGE else baseline


def check_shippable(recipe: Recipe[Any], encoder: Encoder) -> FlatEncoder:
    """Return the encoder as one that a graph can follow; InputError, best raised before training, if it is none."""
    if not isinstance(encoder, FlatEncoder):
        raise InputError(
            f"export.ship: {recipe.export.ship}: the arrays of {recipe.detector} cannot be flattened in a graph, so"
            " only the model itself can be shipped"
        )
    return encoder


def _export_baseline(network: Member, baseline: Baseline) -> Member:
    """Return a member that is a baseline: one logit, and no kinds, since baselines tell none."""
    parts = network.parts
    encoder = check_shippable(network.job.recipe, parts.encoder)
    graph = Graph(baseline.name)
    matrix = add_matrix(graph, encoder.flat_parts())
    logit = _add(graph, matrix, baseline, parts)
    onnx = build_model(graph, parts.valid.arrays, logit)
    gaps = _compare(onnx, baseline, network)
    job = replace(network.job, name=baseline.name, folder=network.job.folder.parent / baseline.name)
    known = replace(network, job=job, parts=replace(parts, categories=()), model=None, parity=gaps, int8=None)
    return _rescore(known, onnx, baseline.seconds)


def _add(graph: Graph, matrix: str, baseline: Baseline, parts: Parts) -> str:
    if baseline.name == BOOSTED:
        return add_trees(graph, matrix, baseline.model.booster.dump_model(num_iteration=baseline.model.trees))
    flat, _, flags = parts.encoder.flatten(parts.train.arrays)
    largest = np.nanmax(flat[:, np.array(flags, dtype=bool)], initial=0.0)
    return add_additive(graph, matrix, baseline.model.decision_function, flags, int(largest) + 2)


def _compare(onnx: bytes, baseline: Baseline, network: Member) -> dict[str, float]:
    """Return rows of a batch -> largest difference in probability between the graph and the library."""
    parts, allowed = network.parts, network.job.recipe.export.parity
    total = len(parts.train)
    drawn = take(parts.train.arrays, np.unique(np.linspace(0, total - 1, min(CHECKED, total)).astype(int)))
    batches = {**sized(drawn), rows(parts.valid.arrays): parts.valid.arrays}
    session = open_session(onnx)

    def gap(arrays: Arrays) -> float:
        wanted = baseline.predict(parts.encoder.flatten(arrays)[0])
        return float(np.abs(expit(score(session, arrays)["logit"].astype(np.float64)) - wanted).max())

    gaps = {str(size): gap(arrays) for size, arrays in batches.items()}
    if not max(gaps.values()) <= allowed:
        raise CheckFailed(
            f"{baseline.name} as ONNX differs from its library by {max(gaps.values()):.2e} in probability;"
            f" {allowed:.0e} is allowed"
        )
    return gaps


def _average(network: Member, baseline: Member) -> Member:
    """Return the mean of two members' calibrated logits; the kinds are the network's."""
    onnx = average_models(network.onnx, baseline.onnx, (network.temperature, baseline.temperature))
    job = replace(network.job, name=AVERAGE, folder=network.job.folder.parent / AVERAGE)
    worst = {size: max(gap, baseline.parity.get(size, 0.0)) for size, gap in network.parity.items()}
    mixed = _rescore(replace(network, job=job, parity=worst), onnx, network.seconds + baseline.seconds)
    wanted = (
        network.valid["logit"] / network.temperature + baseline.valid["logit"] / baseline.temperature
    ) / 2
    difference = float(np.abs(expit(mixed.valid["logit"]) - expit(wanted)).max())
    if not difference <= network.job.recipe.export.parity:
        raise CheckFailed(f"the average as ONNX differs from the mean of its parts by {difference:.2e}")
    return mixed


def _rescore(member: Member, onnx: bytes, seconds: float) -> Member:
    """Give a member another exported model, and everything that follows from its answers."""
    write_bytes(member.job.folder / "model.onnx", onnx)
    session = open_session(onnx, threads=member.job.recipe.compute.threads or 0)
    valid, test = (score(session, part.arrays) for part in (member.parts.valid, member.parts.test))
    temperature = fit_temperature(member.parts.valid.label, valid["logit"]).temperature
    return replace(member, onnx=onnx, valid=valid, test=test, temperature=temperature, seconds=seconds)
