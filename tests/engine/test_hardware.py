"""Which hardware there is, and the Fabric that is made for it."""

import os

import pytest
import structlog
import torch
from lightning_fabric.plugins.precision import MixedPrecision

from tocsin.core.errors import InputError
from tocsin.core.recipe import ComputeSection
from tocsin.engine.hardware import (
    OVERLAYS,
    choose_precision,
    detect,
    device_name,
    make_fabric,
    match_overlay,
)


@pytest.mark.parametrize(
    ("name", "memory", "overlay"),
    [
        ("Tesla T4", 15.8, "t4"),
        ("Tesla V100-SXM2-16GB", 16.9, "v100"),
        ("NVIDIA A100-SXM4-80GB", 85.1, "a100"),
        ("NVIDIA A100-PCIE-40GB", 42.3, "a100"),
        ("NVIDIA H200", 150.1, "h200"),
        ("NVIDIA H100 80GB HBM3", 85.0, "h200"),
        ("NVIDIA GeForce RTX 4090", 25.3, "v100"),
        ("NVIDIA L4", 24.0, "t4"),
        ("NVIDIA B200", 191.0, "h200"),
        ("NVIDIA GeForce GTX 1080", 8.5, "t4"),
    ],
)
def test_the_overlay_is_that_of_the_name_or_the_nearest_by_memory(name, memory, overlay):
    with structlog.testing.capture_logs() as logs:
        assert match_overlay(name, memory) == overlay
    assert name in logs[0]["source"], "the log says why"


def test_every_overlay_has_its_file():
    from importlib.resources import files

    folder = files("tocsin.core") / "hardware"
    assert {path.name for path in folder.iterdir() if path.name.endswith(".yaml")} >= {
        f"{name}.yaml" for name in (*OVERLAYS, "cpu")
    }


def test_without_a_gpu_it_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert detect() == "cpu"
    assert device_name()
    with pytest.raises(InputError, match="'cuda', but PyTorch sees no GPU"):
        make_fabric(ComputeSection(device="cuda"))


@pytest.mark.parametrize(
    ("bf16", "amx", "expected"), [(True, False, "bf16"), (False, True, "bf16"), (False, False, "32")]
)
def test_auto_precision_is_bf16_where_the_processor_has_it(monkeypatch, bf16, amx, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    precision, why = choose_precision("auto", "cpu")
    assert (precision, bool(why)) == (expected, True)
    assert choose_precision("fp16", "cpu") == ("fp16", "compute.precision")


@pytest.mark.parametrize("supported", [True, False])
def test_auto_precision_on_a_gpu(monkeypatch, supported):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: supported)
    assert choose_precision("auto", "cuda")[0] == ("bf16" if supported else "32")


@pytest.mark.parametrize(("precision", "scaler"), [("32", False), ("bf16", False), ("fp16", True)])
def test_a_fabric_says_where_its_settings_come_from(precision, scaler):
    threads = torch.get_num_threads()
    with structlog.testing.capture_logs() as logs:
        fabric = make_fabric(ComputeSection(device="cpu", precision=precision, threads=1, deterministic=True))
    try:
        assert fabric.device.type == "cpu"
        assert isinstance(fabric.strategy.precision, MixedPrecision) is (precision != "32")
        assert (getattr(fabric.strategy.precision, "scaler", None) is not None) is scaler
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
        (entry,) = [entry for entry in logs if entry["event"] == "compute"]
        sources = {key for key in entry if key.endswith("_source")}
        assert sources == {"device_source", "precision_source", "threads_source"}
    finally:
        torch.set_num_threads(threads)


def test_inputs_are_not_rounded_to_bf16():
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, x):
            seen.append((x.dtype, self.layer(x).dtype))
            return self.layer(x)

    fabric = make_fabric(ComputeSection(device="cpu", precision="bf16"))
    out = fabric.setup(Spy())(torch.ones(3, 2))
    assert seen == [(torch.float32, torch.bfloat16)]
    assert out.dtype == torch.float32
