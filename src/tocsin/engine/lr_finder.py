"""The learning-rate range test: a short sweep over rates that leaves everything as it was.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; the choice of the
steepest descent follows fastai's `lr_find`.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from torch import nn

from tocsin import __version__
from tocsin.core.durable import json_bytes, jsonable, replacing, write_json
from tocsin.core.recipe import StageSection
from tocsin.engine.batch import BatchSource
from tocsin.engine.generators import capture_generators, restore_generators
from tocsin.engine.optim import make_optimizer, set_rate
from tocsin.engine.step import Stepper, bare

log = structlog.get_logger(__name__)

STEPS = 100
LOWEST, HIGHEST = 1e-7, 1.0
WINDOW = 11
"""Steps that the loss is averaged over."""
SETTLED = 5
"""Steps before the smoothed loss means anything."""
DIVERGED = 4.0
"""Times the lowest loss at which the sweep ends."""
FALL = 0.02
"""Share of the first loss that the curve must fall for it to be trusted."""
BELOW_LOWEST = 10.0
"""The recommended rate is at least so many times below the one with the lowest loss."""
CAPS = (1e-6, 1e-2)
FALLBACK = 1e-4
CACHE_HOURS = 168


@dataclass(frozen=True)
class RateSearch:
    """A sweep and what it recommends."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    recommended: float
    reason: str


def find_rate(stepper: Stepper, source: BatchSource) -> RateSearch:
    """Raise the rate from 1e-7 to 1 over 100 steps, with the ratios of the groups, and recommend a peak rate.

    Model, optimizer, loss scaler and every generator are afterwards what they were, to the byte.
    """
    fabric, model = stepper.fabric, stepper.model
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    losses: list[float] = []
    fused = getattr(fabric.strategy.precision, "scaler", None) is None
    with _restored(stepper):
        model.train()
        # An optimizer of its own over the same parameters: the real one is never touched.
        optimizer = fabric.setup_optimizers(make_optimizer(bare(model), stepper.optim, LOWEST, fused=fused))
        trial = Stepper(fabric, stepper.task, model, optimizer, stepper.optim, stepper.micro)
        for index, rate in enumerate(rates):
            set_rate(optimizer, float(rate))
            losses.append(trial(source[index]).loss)
            if not math.isfinite(losses[-1]) or losses[-1] > DIVERGED * max(min(losses), 1e-8):
                break
    return recommend(tuple(rates[: len(losses)].tolist()), tuple(losses))


def recommend(rates: tuple[float, ...], losses: tuple[float, ...]) -> RateSearch:
    """Choose the rate of the steepest descent of the smoothed loss before its minimum, within caps.

    A curve that does not fall, or ends at once, gives the default rate and says so.
    """
    if not math.isfinite(losses[-1]):  # where the sweep ended
        rates, losses = rates[:-1], losses[:-1]
    smoothed = _smooth(losses) if losses else []
    lowest = int(np.argmin(smoothed[SETTLED:])) + SETTLED if len(smoothed) > SETTLED else 0
    if lowest <= SETTLED or smoothed[SETTLED] - smoothed[lowest] < FALL * abs(smoothed[SETTLED]):
        reason = f"the loss did not fall by {FALL:.0%} in the sweep: the default rate"
        return RateSearch(rates, losses, tuple(smoothed), FALLBACK, reason)
    slope = np.gradient(np.asarray(smoothed), np.log10(rates[: len(smoothed)]))
    steepest = int(np.argmin(slope[SETTLED : lowest + 1])) + SETTLED
    found = min(rates[steepest], rates[lowest] / BELOW_LOWEST)
    recommended = min(max(found, CAPS[0]), CAPS[1])
    reason = "steepest descent of the smoothed loss"
    if recommended != found:
        reason += f" at {found:.1e}, capped to {CAPS[0]:g} to {CAPS[1]:g}"
    return RateSearch(rates, losses, tuple(smoothed), recommended, reason)


def _smooth(losses: Sequence[float]) -> list[float]:
    """Average over a window centred on each step: a running average would move the curve to higher rates."""
    padded = np.pad(np.asarray(losses, dtype=np.float64), WINDOW // 2, mode="edge")
    return [float(value) for value in np.convolve(padded, np.full(WINDOW, 1 / WINDOW), mode="valid")]


@contextmanager
def _restored(stepper: Stepper) -> Iterator[None]:
    """Put parameters, buffers, gradients, mode, loss scaler and generators back to what they were."""
    module, precision = bare(stepper.model), stepper.fabric.strategy.precision
    moving = [*(p for p in module.parameters() if p.requires_grad), *module.buffers()]
    values = [tensor.detach().clone() for tensor in moving]
    grads = [(p, p.grad) for p in module.parameters()]
    modes = [(part, part.training) for part in stepper.model.modules()]
    generators, scaling = capture_generators(), precision.state_dict()
    for p, _ in grads:
        p.grad = None
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(moving, values, strict=True):
                tensor.copy_(value)
        for p, grad in grads:
            p.grad = grad
        for part, mode in modes:
            part.training = mode
        precision.load_state_dict(scaling)
        restore_generators(generators)


def make_key(stepper: Stepper, section: StageSection, seed: int, fingerprint: str) -> dict[str, Any]:
    """Return all that the recommendation depends on; fits share a cached rate only if all of it is equal."""
    module = bare(stepper.model)
    task = type(stepper.task)
    return {
        "task": f"{task.__module__}.{task.__qualname__}",
        "model": hashlib.sha256(str(module).encode()).hexdigest(),
        "weights": weights_digest(module),
        "data": fingerprint,
        "optim": section.optim.model_dump(mode="json"),
        "loss": section.loss.model_dump(mode="json"),
        "batch_size": section.batch_size,
        "micro_batch": stepper.micro.rows,
        "precision": _precision_name(stepper),
        "device": str(stepper.fabric.device.type),
        "devices": stepper.fabric.world_size,
        "versions": {
            "torch": torch.__version__,
            "fabric": version("lightning-fabric"),
            "tocsin": __version__,
        },
        "seed": seed,
    }


def weights_digest(module: nn.Module) -> str:
    """Return a sha256 over names, shapes and kinds of all parameters, and the bytes of those that train."""
    digest = hashlib.sha256()
    for name, p in module.named_parameters():
        digest.update(f"{name} {tuple(p.shape)} {p.dtype} {p.requires_grad}\n".encode())
        if p.requires_grad:
            digest.update(p.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _precision_name(stepper: Stepper) -> str:
    return str(getattr(stepper.fabric.strategy.precision, "precision", "32"))


def read_cached(cache: Path, key: Mapping[str, Any], now: float | None = None) -> RateSearch | None:
    """Return the search cached for exactly this key in the last 168 hours, or None.

    An entry from the future (the clock was moved) and a damaged one are misses; the latter is warned about.
    """
    path = _cache_path(cache, key)
    now = time.time() if now is None else now
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_bytes())
        if entry["sha256"] != _digest(entry["body"]):
            raise ValueError("its sha256 does not match")
        body = entry["body"]
        age = now - body["created"]
        if body["key"] != jsonable(dict(key)):
            raise ValueError("it belongs to another key")
        search = _read_search(body["search"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        log.warning("learning-rate cache entry is damaged and ignored", path=str(path), error=str(error))
        return None
    return search if 0 <= age < CACHE_HOURS * 3600 else None


def _read_search(found: Mapping[str, Any]) -> RateSearch:
    rates, losses, smoothed = (tuple(found[name]) for name in ("rates", "losses", "smoothed"))
    return RateSearch(rates, losses, smoothed, found["recommended"], found["reason"])


def write_cached(cache: Path, key: Mapping[str, Any], search: RateSearch, now: float | None = None) -> None:
    """Keep a search for its key."""
    body = jsonable(
        {"created": time.time() if now is None else now, "key": dict(key), "search": asdict(search)}
    )
    write_json(_cache_path(cache, key), {"body": body, "sha256": _digest(body)})


def _cache_path(cache: Path, key: Mapping[str, Any]) -> Path:
    return cache / f"lr-{_digest(dict(key))}.json"


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json_bytes(value)).hexdigest()


def write_curve(folder: Path, search: RateSearch) -> None:
    """Write `lr_curve.png` and `lr_curve.json`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    write_json(folder / "lr_curve.json", asdict(search))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(search.rates, search.losses, color="0.8", label="loss")
    axes.plot(search.rates[: len(search.smoothed)], search.smoothed, label="smoothed")
    axes.axvline(search.recommended, color="tab:red", linestyle="--", label=f"{search.recommended:.1e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=search.reason)
    axes.legend()
    with replacing(folder / "lr_curve.png") as file:
        FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]
