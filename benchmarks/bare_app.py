"""The peer that an engineer writes in an hour: FastAPI and onnxruntime, arrays in, probability out.

usage: python -m benchmarks.bare_app MODEL.onnx PORT
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Row(BaseModel):
    """One row, encoded by the caller."""

    numeric: list[float]
    state: list[int]
    categorical: list[int]


def make_app(model: Path) -> FastAPI:
    """Return the app over one model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
    app = FastAPI()

    @app.post("/predict")
    async def predict(row: Row) -> dict[str, float]:
        inputs = {
            "numeric": np.array([row.numeric], np.float32),
            "state": np.array([row.state], np.int64),
            "categorical": np.array([row.categorical], np.int64),
        }
        (logit,) = session.run(["logit"], inputs)
        return {"probability": float(1 / (1 + np.exp(-logit[0])))}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning", access_log=False)
