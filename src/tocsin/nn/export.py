"""A trained model leaves PyTorch: export to ONNX, proof that the answers are the same, int8.

Shape legend: B rows.
"""

import copy
import inspect
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor, nn

from tocsin.core.axes import Axes, cut
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.heads import LOGIT, Head, difference
from tocsin.core.types import Arrays, rows
from tocsin.nn.onnx_graph import ROWS, Free, free_axes
from tocsin.nn.sessions import call, open_session

OPSET = 20
SIZES = (1, 2, 7, 100)
CALIBRATION_CHUNK = 64

_HARMLESS = (
    (FutureWarning, r".*isinstance\(treespec, LeafSpec\)` is deprecated"),  # torch 2.13 about itself
    (FutureWarning, r"_check_is_size will be removed"),  # likewise, in what it makes of an LSTM
    (UserWarning, r"(?s)The tensor attributes .*_flat_weights"),  # an LSTM's list of its own parameters
    (UserWarning, r"# The axis name: .* will not be used"),  # several inputs share `rows`: the point
)
_NOISY = "torch.onnx._internal.exporter._registration"  # misses torchvision


class _Flat(nn.Module):
    """The model with its inputs in a row, and only the wanted outputs."""

    def __init__(self, model: nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the model on keyword arguments."""
        found = self.model(**dict(zip(self.inputs, tensors, strict=True)))
        return tuple(found[name] for name in self.outputs)


def reads(model: nn.Module, arrays: Arrays) -> Arrays:
    """Return the arrays that the model's `forward` names: what it reads."""
    names = inspect.signature(model.forward).parameters
    return {name: values for name, values in arrays.items() if name in names}


def export_onnx(model: nn.Module, arrays: Arrays, outputs: Sequence[str], axes: Axes | None = None) -> bytes:
    """Return the model as one ONNX file with named inputs (the arrays that it reads), outputs, and free row axes.

    `model.forward` names the arrays that it reads and returns named tensors. `arrays` are an example with at
    least two rows, and two of whatever else is free: sizes 0 and 1 are special to the exporter.
    Equal models give equal bytes, with all weights and without paths, stack traces or the build of PyTorch.

    Errors: InputError if the example is too small, CheckFailed if the model fixes a size that is to be free.
    """
    arrays = reads(model, arrays)
    free = {name: {0: ROWS} | free_axes((axes or {}).get(name, ())) for name in arrays}
    _check_example(arrays, free)
    flat = _Flat(frozen(model), list(arrays), list(outputs)).eval()
    # Name only the row axis. For a named axis the exporter demands a proof that any size works, which fails where
    # the model divides it. Axes that it silently fixes are caught below.
    rows_of = torch.export.Dim(ROWS)
    shapes = tuple(
        {axis: rows_of if size == ROWS else torch.export.Dim.AUTO for axis, size in named.items()}
        for named in free.values()
    )
    with _quiet():
        program = torch.onnx.export(
            flat,
            tuple(torch.from_numpy(np.ascontiguousarray(values)) for values in arrays.values()),
            input_names=list(arrays),
            output_names=list(outputs),
            dynamic_shapes={"tensors": shapes},
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _name_free(proto, free)
    return _seal(proto)


def frozen(model: nn.Module) -> nn.Module:
    """Return a copy for inference: float32, on the CPU, without dropout."""
    return copy.deepcopy(model).cpu().float().eval().requires_grad_(False)


def sized(arrays: Arrays, axes: Axes, sizes: Iterable[int] = SIZES) -> dict[int, Arrays]:
    """Return the first rows of row-aligned arrays in several numbers, each without padding, and all of them."""
    total = rows(arrays)
    wanted = sorted({size for size in sizes if size < total} | {total})
    return {size: cut({name: values[:size] for name, values in arrays.items()}, axes) for size in wanted}


def parity(
    model: nn.Module,
    exported: bytes,
    batches: Mapping[int, Arrays],
    tolerance: float,
    heads: Sequence[Head] = (LOGIT,),
) -> dict[str, float]:
    """Return rows of the batch -> largest difference between PyTorch and ONNX Runtime, as each head is compared.

    Errors: CheckFailed where a difference is above the tolerance or not a number.
    """
    model, session = frozen(model), open_session(exported)
    gaps = {str(size): _gap(model, session, arrays, heads) for size, arrays in batches.items()}
    worst = max(gaps, key=lambda size: np.nan_to_num(gaps[size], nan=np.inf))
    if not gaps[worst] <= tolerance:
        raise CheckFailed(
            f"ONNX differs from PyTorch by {gaps[worst]:.2e} in probability at {worst} rows;"
            f" {tolerance:.0e} is allowed"
        )
    return gaps


def quantize(exported: bytes, rows_to_calibrate: Arrays) -> bytes:
    """Return the model with int8 weights and activations in its products with weights.

    The ranges of the activations are fixed by the calibration rows. Ranges taken from each batch as it comes
    would move a row's score with its batch mates, by more than 1 in the logit of an FT-Transformer.
    Whether the quality holds is the caller's to check. Convolutions stay float: int8 makes them slower here.
    Source: measured, docs/log.md.
    """
    proto = onnx.load_from_string(exported)
    del proto.graph.value_info[:]  # the exporter's shapes contradict the quantiser's own
    proto.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")  # or it logs advice
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantize_static(
            proto,
            path,
            _CalibrationRows(exported, rows_to_calibrate),
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"MatMulConstBOnly": True},
        )
        return _seal(onnx.load_from_string(path.read_bytes()))


class _CalibrationRows(CalibrationDataReader):  # type: ignore[misc]
    """Rows in chunks, for the quantiser to watch the activations on."""

    def __init__(self, exported: bytes, arrays: Arrays) -> None:
        names = [node.name for node in open_session(exported).get_inputs()]
        starts = range(0, rows(arrays), CALIBRATION_CHUNK)
        self._chunks = iter(
            [{name: arrays[name][start : start + CALIBRATION_CHUNK] for name in names} for start in starts]
        )

    def get_next(self) -> Arrays | None:
        """Return the next rows, None at the end."""
        return next(self._chunks, None)


def _check_example(arrays: Arrays, free: Mapping[str, Free]) -> None:
    for name, named in free.items():
        for axis, size in named.items():
            if arrays[name].shape[axis] < 2:
                shape = arrays[name].shape
                raise InputError(f"the example needs at least 2 {size}; {name!r} has the shape {shape}")


def _name_free(proto: onnx.ModelProto, free: Mapping[str, Free]) -> None:
    """Give free axes their names; refuse one that the exporter fixed, as the model read its size as a number."""
    for node in proto.graph.input:
        for axis, size in free[node.name].items():
            dim = node.type.tensor_type.shape.dim[axis]
            if not dim.dim_param:
                raise CheckFailed(
                    f"the model fixes {size} (axis {axis} of {node.name!r}) to the example's size;"
                    " take sizes from x.shape[i], not from len(x)"
                )
            dim.dim_param = size


def _gap(
    model: nn.Module, session: onnxruntime.InferenceSession, arrays: Arrays, heads: Sequence[Head]
) -> float:
    with torch.inference_mode():
        tensors = {name: torch.from_numpy(values) for name, values in reads(model, arrays).items()}
        wanted = {name: values.numpy() for name, values in model(**tensors).items()}
    found = call(session, arrays)
    return float(np.max([_difference(head, wanted[head.name], found[head.name]) for head in heads]))


def _difference(head: Head, wanted: np.ndarray, found: np.ndarray) -> float:
    if wanted.shape != found.shape:
        raise CheckFailed(f"ONNX output {head.name!r} has the shape {found.shape}, PyTorch's {wanted.shape}")
    return difference(head, wanted, found)


def _seal(proto: onnx.ModelProto) -> bytes:
    """Serialise without what differs from machine to machine: stack traces, paths, builds."""
    _strip(proto)
    proto.producer_name, proto.producer_version = "tocsin", ""
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _strip(message: Any) -> None:
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props", "value_info"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                _strip(part)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what is known to be harmless, and nothing else."""
    logger = logging.getLogger(_NOISY)
    level = logger.level
    with warnings.catch_warnings():
        for category, message in _HARMLESS:
            warnings.filterwarnings("ignore", message, category)
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
