"""Which device trains, with which arithmetic: the TensorFlow-specific set-up of a process."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from galaxy_tasks.config import RunConfig

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclass(frozen=True)
class Device:
    """What a training runs on, as stated in its log and manifest."""

    name: str
    num_gpus: int
    precision: Precision
    is_xla: bool

    def describe(self) -> str:
        """Return one line for the task log."""
        return f"{self.name}, {self.precision}, XLA {'on' if self.is_xla else 'off'}"


def set_up_device(config: RunConfig) -> Device:
    """Prepare this process for training and return what it will run on.

    Call once, before the first model is built. GPU memory grows as needed, so that several
    processes can share a GPU. Seeds, precision and determinism are process-wide in Keras and
    TensorFlow, which is why a training has a process of its own.
    """
    # Without an NVIDIA driver TensorFlow logs errors about it, which would alarm for nothing.
    has_driver = Path("/dev/nvidiactl").exists()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if has_driver else "3")
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    has_gpu = bool(gpus)
    precision = config.precision
    if precision == "auto":
        precision = "mixed_bfloat16" if has_gpu else "float32"
    # Keras silently drops XLA in deterministic mode, so say here what will really run.
    is_xla = not config.deterministic and (config.xla == "on" or (config.xla == "auto" and has_gpu))
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(precision)
    return Device(_name(tf, gpus), len(gpus), precision, is_xla)


def _name(tf, gpus: list) -> str:
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"{len(gpus)} × {details.get('device_name', 'GPU')}"
    return f"CPU ({_processor()}, {len(os.sched_getaffinity(0))} cores)"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of the backend means that the device's memory is used up."""
    text = f"{type(error).__name__} {error}"
    return "ResourceExhausted" in text or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text
