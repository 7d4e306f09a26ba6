"""The hardware at hand: which recipe overlay fits it, and the Fabric that trains on it."""

import os
import platform
from pathlib import Path
from typing import Any, Literal

import structlog
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy

from tocsin.core.errors import InputError
from tocsin.core.recipe import ComputeSection
from tocsin.engine.crew import ALONE, Crew

log = structlog.get_logger(__name__)

OVERLAYS = {"t4": 16, "v100": 32, "a100": 80, "h200": 141}
"""Name of an overlay in `core/hardware` -> memory of its GPU in GB."""
NAMED = {name: name for name in OVERLAYS} | {"h100": "h200"}
"""Word in the name of a GPU -> overlay."""


class Autocast(MixedPrecision):
    """Fabric's mixed precision with inputs left as they are: autocast rounds what it multiplies, not data."""

    def convert_input(self, data: Any) -> Any:
        """Return the inputs unchanged."""
        return data


def detect() -> str:
    """Return the name of the hardware overlay: that of the GPU, or the nearest to it by memory, or `cpu`."""
    if not torch.cuda.is_available():
        return _chosen("cpu", "no GPU that PyTorch can use")
    properties = torch.cuda.get_device_properties(0)
    return match_overlay(properties.name, properties.total_memory / 1e9)


def match_overlay(name: str, memory_gb: float) -> str:
    """Return the overlay for a GPU's name and memory in GB."""
    for word in name.lower().replace("-", " ").split():
        if word in NAMED:
            return _chosen(NAMED[word], f"the GPU is called {name}")
    nearest = min(OVERLAYS, key=lambda overlay: abs(OVERLAYS[overlay] - memory_gb))
    return _chosen(nearest, f"{name} is not known, {memory_gb:.0f} GB is nearest to it")


def _chosen(overlay: str, source: str) -> str:
    log.info("hardware overlay", overlay=overlay, source=source)
    return overlay


def device_name() -> str:
    """Return the name of the GPU, or of the processor."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def make_fabric(compute: ComputeSection, crew: Crew = ALONE) -> Fabric:
    """Return a Fabric for the `compute` section over the processes of a crew; log where each setting comes from.

    InputError for a device that is not there, and where the crew is not as large as `devices` says.
    """
    crew.check(compute.devices)
    device, why_device = _choose_device(compute)
    precision, why_precision = choose_precision(compute.precision, device)
    _set_determinism(compute.deterministic)
    why_threads = _set_threads(compute, crew)
    log.info(
        "compute",
        device=device,
        device_source=why_device,
        name=device_name(),
        processes=crew.size,
        precision=precision,
        precision_source=why_precision,
        threads=torch.get_num_threads(),
        threads_source=why_threads,
        deterministic=compute.deterministic,
    )
    environment = [TorchElasticEnvironment()] if crew.size > 1 else []
    fabric = Fabric(
        accelerator=device,
        devices=compute.devices,
        num_nodes=crew.size // compute.devices,
        strategy=DDPStrategy() if crew.size > 1 else "auto",
        plugins=[make_precision(precision, device), *environment],
    )
    if crew.size > 1:
        fabric.launch()  # the processes are there: this only tells Fabric which of them this one is
    return fabric


def _set_threads(compute: ComputeSection, crew: Crew) -> str:
    """Set how many threads compute on the CPU; returns why so many."""
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
        return "compute.threads"
    if crew.beside == 1 or "OMP_NUM_THREADS" in os.environ:
        return "the library"
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // crew.beside))
    return f"the cores over {crew.beside} processes"


def make_precision(precision: Literal["32", "bf16", "fp16"], device: str) -> Precision:
    """Return Fabric's plugin for a precision; fp16 comes with its loss scaler."""
    if precision == "32":
        return Precision()
    return Autocast("bf16-mixed" if precision == "bf16" else "16-mixed", device)


def _choose_device(compute: ComputeSection) -> tuple[Literal["cpu", "cuda"], str]:
    found = torch.cuda.is_available()
    if compute.device == "auto":
        return ("cuda", "PyTorch sees a GPU") if found else ("cpu", "PyTorch sees no GPU")
    if compute.device == "cuda" and not found:
        raise InputError("compute.device: 'cuda', but PyTorch sees no GPU here; use 'auto' or 'cpu'")
    return compute.device, "compute.device"


def choose_precision(asked: str, device: str) -> tuple[Literal["32", "bf16", "fp16"], str]:
    """Return the precision, and why: `auto` is bf16 where the device computes in it, else 32 bits."""
    if asked in ("32", "bf16", "fp16"):
        return asked, "compute.precision"  # type: ignore[return-value]
    if device == "cuda":
        return (
            ("bf16", "the GPU has bf16")
            if torch.cuda.is_bf16_supported(False)
            else ("32", "the GPU has no bf16")
        )
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return "bf16", "the processor has avx512_bf16 or AMX"
    return "32", "the processor has neither avx512_bf16 nor AMX"


def _set_determinism(is_wanted: bool) -> None:
    """Refuse operations whose result varies. It is global to the process, like the threads."""
    if is_wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(is_wanted)
    torch.backends.cudnn.benchmark = False
    # Filling what torch.empty returns is a debugging aid and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
