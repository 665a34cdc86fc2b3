"""Programs that run an exported network on a processor, each on one thread of it.

Several processes with a thread each need no synchronisation inside a network, and give the same
numbers on any number of cores. ONNX Runtime and OpenVINO differ in what they are fast at: which
network, which processor; see benchmarks/prediction.py.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.errors import InputError

Engine = Literal["keras", "onnxruntime", "openvino"]
Precision = Literal["float32", "bfloat16"]

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Logits (n, classes) and features (n, features)."""
RunNetwork = Callable[[NDArray[np.uint8]], Outputs]
"""From prepared images (n, size, size, 3) to the network's outputs."""


@dataclass(frozen=True, order=True)
class Way:
    """How a network is run."""

    engine: Engine
    precision: Precision

    def __str__(self) -> str:
        """Return it as the log has it."""
        names = {"keras": "Keras", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
        return f"{names[self.engine]} in {self.precision}"


def list_ways() -> list[Way]:
    """Return how an exported network can be run on this machine, without Keras."""
    ways: list[Way] = []
    if importlib.util.find_spec("onnxruntime"):
        ways.append(Way("onnxruntime", "float32"))
    if importlib.util.find_spec("openvino"):
        ways.append(Way("openvino", "float32"))
        if has_bfloat16():
            ways.append(Way("openvino", "bfloat16"))
    return ways


@functools.cache
def has_bfloat16() -> bool:
    """Return whether this processor computes in bfloat16, as OpenVINO knows."""
    return "BF16" in _make_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def open_network(way: Way, path: Path) -> RunNetwork:
    """Load an exported network, to be run on one thread of this process.

    Raises:
        InputError: the way is none of `list_ways` here.
    """
    if way not in list_ways():
        known = ", ".join(map(str, list_ways())) or "none"
        raise InputError(f"{way} cannot run on this machine. Ways that can: {known}.")
    return _open_onnxruntime(path) if way.engine == "onnxruntime" else _open_openvino(way, path)


def _open_onnxruntime(path: Path) -> RunNetwork:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.uint8]) -> Outputs:
        logits, features = session.run(["logits", "features"], {"cutouts": images})
        return np.asarray(logits), np.asarray(features)

    return run


def _open_openvino(way: Way, path: Path) -> RunNetwork:
    hint = "bf16" if way.precision == "bfloat16" else "f32"
    settings = {
        **{"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": hint},
        "ENABLE_CPU_PINNING": False,  # else the threads of all processes share the first core
    }
    core = _make_core()
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()

    def run(images: NDArray[np.uint8]) -> Outputs:
        found = request.infer({"cutouts": images})
        # The request's own memory, which the next call writes over.
        return found["logits"].copy(), found["features"].copy()

    return run


def _make_core() -> Any:
    import openvino

    return openvino.Core()
