"""Which device trains, with which arithmetic: the TensorFlow-specific set-up of a process."""

import fcntl
import itertools
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from joblib import cpu_count

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.storage.artifacts import home

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

_BFLOAT16_CAPABILITY = (8, 0)
"""CUDA compute capability from which tensor cores multiply bfloat16 (Ampere)."""
_LEAST_GPU_MIB = 256
"""Less holds no network."""
_SIGNS_OF_FULL_MEMORY = (
    *("resourceexhausted", "resource_exhausted", "out of memory", "out_of_memory"),
    "dst tensor is not initialized",  # a copy to the device for which there was no room
    "status_alloc_failed",  # cuBLAS and cuDNN
)
"""What errors of TensorFlow and CUDA say, in lower case, when a device's memory is used up."""
_held: list[IO[str]] = []
"""Locks of the GPUs that this process uses; the system frees them when it ends."""


@dataclass(frozen=True)
class Device:
    """What a training runs on, as stated in its log and manifest."""

    name: str
    precision: Precision
    is_xla: bool

    def describe(self) -> str:
        """Return one line for the task log."""
        return f"{self.name}, {self.precision}, XLA {'on' if self.is_xla else 'off'}"


def set_up_device(config: RunConfig) -> Device:
    """Prepare this process for training or prediction and return what it will run on.

    Call once in a process, before the first model is built: seeds, precision and determinism are
    process-wide in Keras and TensorFlow. Of several GPUs it takes the one that the fewest trainings
    on this machine use; memory grows as needed, or has the limit that `gpu_memory_limit_mib` gives,
    so that several processes can share a GPU.

    Raises:
        ResourceError: GALAXY_NEEDS_GPU is 1 and there is no GPU.
    """
    # Without an NVIDIA driver TensorFlow logs errors about it, which would alarm for nothing.
    has_driver = Path("/dev/nvidiactl").exists()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if has_driver else "3")
    import keras
    import tensorflow as tf

    name, precision = f"CPU ({_processor()}, {cpu_count()} cores)", "float32"
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and os.environ.get("GALAXY_NEEDS_GPU") == "1":
        raise ResourceError(
            "This trainer is meant for an NVIDIA GPU (GALAXY_NEEDS_GPU is 1), and TensorFlow finds "
            "none. See whether `nvidia-smi` works in its container and restart it, or let the "
            "processor train: COMPOSE_PROFILES=cpu in .env."
        )
    if gpus:
        index = reserve_slot(home() / "gpus", count=len(gpus))
        tf.config.set_visible_devices(gpus[index], "GPU")
        if limit_mib := gpu_memory_limit_mib():
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=limit_mib)
            tf.config.set_logical_device_configuration(gpus[index], [limit])
        else:
            tf.config.experimental.set_memory_growth(gpus[index], True)
        details: dict[str, Any] = tf.config.experimental.get_device_details(gpus[index])
        name = f"GPU {index} of {len(gpus)} ({details.get('device_name', 'unknown')})"
        has_bfloat16 = details.get("compute_capability", (0, 0)) >= _BFLOAT16_CAPABILITY
        precision = "mixed_bfloat16" if has_bfloat16 else "mixed_float16"
    if config.precision != "auto":
        precision = config.precision
    # Keras silently drops XLA in deterministic mode, so say here what will really run.
    is_wanted = config.xla == "on" or (config.xla == "auto" and bool(gpus))
    is_xla = is_wanted and not config.deterministic
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(precision)
    return Device(name, precision, is_xla)


def reserve_slot(folder: Path, *, count: int) -> int:
    """Return the slot, 0 to count - 1, that the fewest living processes of this machine hold."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in itertools.count():
        for slot in range(count):
            lock = (folder / f"{platform.node()}-{slot}-{place}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
            else:
                _held.append(lock)
                return slot
    raise AssertionError("counting does not end")


def gpu_memory_limit_mib() -> int | None:
    """Return how much of a GPU's memory this process may take, GALAXY_GPU_MEMORY_MIB; None: all.

    Raises:
        InputError: it is no whole number of at least 256.
    """
    named = os.environ.get("GALAXY_GPU_MEMORY_MIB", "")
    if not named:
        return None
    if not named.isdecimal() or int(named) < _LEAST_GPU_MIB:
        raise InputError(
            f"GALAXY_GPU_MEMORY_MIB must be a whole number of MiB of at least {_LEAST_GPU_MIB}, "
            f"or empty for no limit. Received: {named!r}"
        )
    return int(named)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of the backend means that the device's memory is used up."""
    text = f"{type(error).__name__} {error}".lower()
    return any(sign in text for sign in _SIGNS_OF_FULL_MEMORY)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
