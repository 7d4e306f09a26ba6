"""An ONNX model at work: opened one way, run one way, in training and in serving. No torch here.

Shapes: B rows.
"""

from collections.abc import Iterable

import onnxruntime

from tocsin.core.axes import Axes, run_rows
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays

CHUNK, CELLS = 1024, 16_384
"""Rows of one call; rows times places where arrays differ in size from row to row."""


def open_session(model: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """Return an ONNX Runtime session on the CPU; 0 threads leaves their number to the library.

    InputError where the model cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its own log lines are not JSON; what goes wrong is raised as well
    if threads == 1:
        for pool in ("intra_op", "inter_op"):
            options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the library's errors share no base class
        raise InputError(f"model.onnx cannot be loaded: {str(error).splitlines()[0][:300]}") from None


def call(session: onnxruntime.InferenceSession, arrays: Arrays) -> Arrays:
    """Return the named outputs of one call; arrays that the model does not read are left out."""
    names = [node.name for node in session.get_outputs()]
    found = session.run(names, {node.name: arrays[node.name] for node in session.get_inputs()})
    return dict(zip(names, found, strict=True))


def read_axes(axes: Axes, inputs: Iterable[str]) -> Axes:
    """Return the axes of the arrays that a model reads."""
    return {name: axes[name] for name in inputs if name in axes}


def score(
    session: onnxruntime.InferenceSession, arrays: Arrays, axes: Axes, outputs: Axes | None = None
) -> Arrays:
    """Run a session over rows, a bounded number at a time; returns named outputs, row axis first.

    axes: those of the encoder's arrays; outputs: those of the heads, {} where every row's are alike.
    """
    own = read_axes(axes, [node.name for node in session.get_inputs()])
    return run_rows(lambda part: call(session, part), arrays, own, outputs or {}, CELLS if own else CHUNK)
