"""Ship a baseline, or its average with the network, like any network: exported, held to its library, judged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from tocsin.audit.baselines import Baseline
from tocsin.audit.ngrams import NGRAMS, GramModel
from tocsin.audit.rules import RULES, RuleModel
from tocsin.core.detector import Encoder
from tocsin.core.durable import write_bytes
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.flat import FlatEncoder
from tocsin.core.recipe import ExportSection, Recipe
from tocsin.core.types import Arrays, rows, take
from tocsin.features.cues import CUES
from tocsin.features.letters import LETTERS
from tocsin.metrics.calibration import fit_temperature
from tocsin.nn.export import open_session, sized
from tocsin.nn.graphs import Graph, add_logits, add_matrix, build_model
from tocsin.nn.linear import add_additive
from tocsin.nn.ngrams import add_ngrams
from tocsin.nn.rules import add_rules
from tocsin.nn.trees import add_trees
from tocsin.workflows.training.members import Member, Parts, free_axes, score

Tell = Callable[[str], None]
Predict = Callable[[Arrays], np.ndarray]
MODEL, AVERAGE, BOOSTED, LINEAR = "model", "average", "lightgbm", "logistic"
ArrayModel = GramModel | RuleModel
Shippable = Mapping[str, Baseline | ArrayModel]
Side = tuple[Arrays, np.ndarray]
"""Arrays and labels of the rows of one side of a split."""
READS = {NGRAMS: LETTERS, RULES: CUES}
"""Baseline that reads an array as a model does -> that array."""
CHECKED = 4096
"""Rows on which an exported model is held to its library."""


def needed(export: ExportSection, arrays: Arrays) -> tuple[str, ...]:
    """Return the baselines that `export.ship` is made of."""
    if export.ship == AVERAGE:
        return tuple(name for name in mixture(export, arrays) if name != MODEL)
    return () if export.ship == MODEL else (export.ship,)


def mixture(export: ExportSection, arrays: Arrays) -> Mapping[str, float]:
    """Return part -> weight of the average, the model first; null weighs it like LightGBM and, for texts, n-grams."""
    if export.weights is None:
        grams = [NGRAMS] if LETTERS in arrays else []
        return dict.fromkeys([MODEL, *grams, BOOSTED], 1.0)
    return dict(sorted(export.weights.items(), key=lambda item: item[0] != MODEL))


def choose_shipped(network: Member, baselines: Shippable, tell: Tell) -> Member:
    """Return the member that is to be packaged: the network, or what the recipe ships in its place.

    Errors: InputError where the encoder's arrays cannot be flattened in a graph, CheckFailed where the exported
    model answers otherwise than its library.
    """
    export, arrays = network.job.recipe.export, network.parts.train.arrays
    if export.ship == MODEL:
        return network
    tell(f"export: {export.ship} is shipped in place of {network.job.name}")
    made = [
        _export_baseline(network, found)
        if isinstance(found, Baseline)
        else _export_whole(network, name, found)
        for name in needed(export, arrays)
        for found in (baselines[name],)
    ]
    if export.ship != AVERAGE:
        return made[0]
    return _average([network, *made], list(mixture(export, arrays).values()))


def check_shippable(recipe: Recipe[Any], encoder: Encoder, arrays: Arrays) -> None:
    """Raise InputError, best before training, where a graph cannot follow what `export.ship` needs."""
    for name in needed(recipe.export, arrays):
        if name not in READS:
            _flat_encoder(recipe, encoder)
        elif READS[name] not in arrays:
            raise InputError(
                f"export.ship: {name} reads {READS[name]}, and the arrays of {recipe.detector} hold none"
            )


def _flat_encoder(recipe: Recipe[Any], encoder: Encoder) -> FlatEncoder:
    """Return the encoder as one that a graph can follow; InputError if it is none."""
    if not isinstance(encoder, FlatEncoder):
        raise InputError(
            f"export.ship: {recipe.export.ship}: the arrays of {recipe.detector} cannot be flattened in a graph, so"
            " only the model itself can be shipped"
        )
    return encoder


def _export_baseline(network: Member, baseline: Baseline) -> Member:
    """Return a member that is a baseline: one logit, and no kinds, since baselines tell none."""
    parts = network.parts
    encoder = _flat_encoder(network.job.recipe, parts.encoder)
    graph = Graph(baseline.name)
    matrix = add_matrix(graph, encoder.flat_parts())
    onnx = build_model(
        graph, parts.valid.arrays, _add(graph, matrix, baseline, parts), free_axes(parts.encoder)
    )
    gaps = _compare(
        onnx, lambda arrays: baseline.predict(parts.encoder.flatten(arrays)[0]), baseline.name, network
    )
    return _stand_in(network, baseline.name, onnx, (gaps, baseline.seconds))


def _export_whole(network: Member, name: str, model: ArrayModel) -> Member:
    """Return the member that is a baseline which reads the arrays as the network does."""
    graph = Graph(name)
    if isinstance(model, GramModel):
        logit = add_ngrams(graph, LETTERS, model.weights, model.bias)
    else:
        logit = add_rules(graph, CUES, model.table)
    onnx = build_model(graph, network.parts.valid.arrays, logit, free_axes(network.parts.encoder))
    return _stand_in(network, name, onnx, (_compare(onnx, model.predict, name, network), model.seconds))


def _stand_in(network: Member, name: str, onnx: bytes, made: tuple[dict[str, float], float]) -> Member:
    """Put an exported baseline in the network's place; `made`: its gaps to the library, and seconds."""
    job = replace(network.job, name=name, folder=network.job.folder.parent / name)
    parts = replace(network.parts, categories=())
    known = replace(network, job=job, parts=parts, model=None, parity=made[0], int8=None)
    return _rescore(known, onnx, made[1])


def _add(graph: Graph, matrix: str, baseline: Baseline, parts: Parts) -> str:
    if baseline.name == BOOSTED:
        return add_trees(graph, matrix, baseline.model.booster.dump_model(num_iteration=baseline.model.trees))
    flat, _, flags = parts.encoder.flatten(parts.train.arrays)
    largest = np.nanmax(flat[:, np.array(flags, dtype=bool)], initial=0.0)
    return add_additive(graph, matrix, baseline.model.decision_function, flags, int(largest) + 2)


def _compare(onnx: bytes, predict: Predict, name: str, network: Member) -> dict[str, float]:
    """Return rows of a batch -> largest difference in probability between the graph and the library."""
    parts, allowed = network.parts, network.job.recipe.export.parity
    total = len(parts.train)
    drawn = take(parts.train.arrays, np.unique(np.linspace(0, total - 1, min(CHECKED, total)).astype(int)))
    batches = {**sized(drawn), rows(parts.valid.arrays): parts.valid.arrays}
    session = open_session(onnx)

    def gap(arrays: Arrays) -> float:
        found = expit(score(session, arrays)["logit"].astype(np.float64))
        return float(np.abs(found - predict(arrays)).max())

    gaps = {str(size): gap(arrays) for size, arrays in batches.items()}
    if not max(gaps.values()) <= allowed:
        raise CheckFailed(
            f"{name} as ONNX differs from its library by {max(gaps.values()):.2e} in probability;"
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
    wanted = sum(f * m.valid["logit"].astype(np.float64) for f, m in zip(factors, members, strict=True))
    difference = float(np.abs(expit(mixed.valid["logit"]) - expit(wanted)).max())
    if not difference <= network.job.recipe.export.parity:
        raise CheckFailed(f"the average as ONNX differs from the mean of its parts by {difference:.2e}")
    return mixed


def _rescore(member: Member, onnx: bytes, seconds: float) -> Member:
    """Give a member another exported model, and everything that follows from its answers."""
    write_bytes(member.job.folder / "model.onnx", onnx)
    session = open_session(onnx, threads=member.job.recipe.compute.threads or 0)
    valid = score(session, member.parts.valid.arrays)
    temperature = fit_temperature(member.parts.valid.label, valid["logit"]).temperature
    return replace(member, onnx=onnx, valid=valid, temperature=temperature, seconds=seconds)
