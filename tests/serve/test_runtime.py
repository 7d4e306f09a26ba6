import numpy as np
import pytest

from serve.toys import INPUTS, OUTPUTS, toy_model
from tocsin.artifact.manifest import TensorSpec
from tocsin.core.errors import InputError
from tocsin.serve import runtime
from tocsin.serve.runtime import OnnxRuntime


def arrays(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(count)
    return {
        "numeric": rng.normal(size=(count, 2)).astype(np.float32),
        "state": rng.integers(0, 2, (count, 2)),
        "categorical": rng.integers(0, 3, (count, 1)),
    }


def expected(x: dict[str, np.ndarray]) -> np.ndarray:
    return x["numeric"] @ [2.0, 1.0] - 0.5 * x["state"].sum(axis=1) + 0.3 * x["categorical"][:, 0]


@pytest.mark.parametrize("rows_per_call", [1, 2, 7, 64])
@pytest.mark.parametrize("count", [1, 6, 7, 8, 100])
def test_answers_in_any_number_of_calls(rows_per_call: int, count: int) -> None:
    model = OnnxRuntime(toy_model(), INPUTS, OUTPUTS)
    model.rows_per_call = rows_per_call
    x = arrays(count)
    found = model.run(x)
    assert found["logit"].shape == (count,)
    assert found["category"].shape == (count, 2)
    np.testing.assert_allclose(found["logit"], expected(x), atol=1e-5)


def test_a_fast_model_gets_many_rows_a_call_and_a_slow_one_few(monkeypatch: pytest.MonkeyPatch) -> None:
    model = OnnxRuntime(toy_model(), INPUTS, OUTPUTS)
    chosen = []
    for seconds in (1e-7, 1e-4, 0.0015, 3.0):
        monkeypatch.setattr(runtime, "_seconds", lambda _call, _row, s=seconds: s)
        model.tune(arrays(4))
        chosen.append(model.rows_per_call)
    assert chosen == [runtime.MOST_ROWS, 20, 1, 1]


def test_tuning_measures_the_model_itself() -> None:
    model = OnnxRuntime(toy_model(), INPUTS, OUTPUTS)
    model.tune(arrays(4))
    assert model.rows_per_call > 1  # it takes microseconds


@pytest.mark.parametrize(
    ("inputs", "outputs", "fault"),
    [
        (INPUTS[:2], OUTPUTS, "inputs"),
        (INPUTS, (*OUTPUTS, TensorSpec(name="more", dtype="float32", shape=(None,))), "outputs"),
        ((INPUTS[0].model_copy(update={"dtype": "float64"}), *INPUTS[1:]), OUTPUTS, "'numeric'"),
        ((INPUTS[0].model_copy(update={"shape": (None, 3)}), *INPUTS[1:]), OUTPUTS, "'numeric'"),
        ((INPUTS[0].model_copy(update={"shape": (4, 2)}), *INPUTS[1:]), OUTPUTS, "'numeric'"),
        (INPUTS, (OUTPUTS[0].model_copy(update={"shape": (None, None)}), OUTPUTS[1]), "'logit'"),
    ],
)
def test_refuses_a_model_that_the_manifest_does_not_describe(inputs, outputs, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        OnnxRuntime(toy_model(), inputs, outputs)


def test_takes_the_names_that_onnx_gives_to_types() -> None:
    onnx_names = [s.model_copy(update={"dtype": s.dtype.replace("float32", "float")}) for s in INPUTS]
    assert OnnxRuntime(toy_model(), onnx_names, OUTPUTS).run(arrays(2))["logit"].dtype == np.float32


@pytest.mark.parametrize("model", [b"", b"not a model", toy_model()[:200]])
def test_refuses_what_is_no_model_in_one_line(model: bytes) -> None:
    with pytest.raises(InputError, match=r"^model.onnx cannot be loaded: [^\n]*$"):
        OnnxRuntime(model, INPUTS, OUTPUTS)
