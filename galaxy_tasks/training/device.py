"""Which backend and device train, with which arithmetic: the set-up of a process.

All that concerns TensorFlow or JAX rather than Keras stands here.
"""

import fcntl
import itertools
import logging
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from joblib import cpu_count

from galaxy_tasks.config import Backend, RunConfig, keras_backend
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.storage.artifacts import home
from galaxy_tasks.surroundings import name_processor

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
"""What errors of TensorFlow, JAX and CUDA say, in lower case, when a device's memory is used up."""
_logger = logging.getLogger(__name__)
_held: list[IO[str]] = []
"""Locks of the GPUs that this process uses; the system frees them when it ends."""


@dataclass(frozen=True)
class Device:
    """What a training runs on, as stated in its log and manifest."""

    name: str
    backend: Backend
    precision: Precision
    is_xla: bool

    def describe(self) -> str:
        """Return one line for the task log."""
        xla = "on" if self.is_xla else "off"
        return f"{self.name}, {self.backend}, {self.precision}, XLA {xla}"


@dataclass(frozen=True)
class _Gpu:
    name: str
    compute_capability: tuple[int, ...]


def set_up_device(config: RunConfig) -> Device:
    """Prepare this process for training or prediction and return what it will run on.

    Call once in a process, before Keras is imported: backend, precision and determinism belong to
    the process, and a user's `~/.keras/keras.json` does not count. Of several GPUs it takes the one
    that the fewest trainings on this machine use; memory grows as needed.

    Raises:
        InputError: KERAS_BACKEND names a backend that is unknown or not installed.
        ResourceError: GALAXY_NEEDS_GPU is 1 and there is no GPU.
    """
    backend = keras_backend()
    os.environ["KERAS_BACKEND"] = backend
    gpu = _set_up_jax(config) if backend == "jax" else _set_up_tensorflow(config)
    if gpu is None and os.environ.get("GALAXY_NEEDS_GPU") == "1":
        raise ResourceError(
            "This trainer is meant for an NVIDIA GPU (GALAXY_NEEDS_GPU is 1), and "
            f"{backend} finds none. Check that `nvidia-smi` works in its container and restart it, "
            "or let the processor train: COMPOSE_PROFILES=cpu in .env."
        )
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    precision = _choose_precision(config, gpu)
    keras.config.set_dtype_policy(precision)
    return Device(
        name=gpu.name if gpu else f"CPU ({name_processor()}, {cpu_count()} cores)",
        backend=backend,
        precision=precision,
        is_xla=backend == "jax" or _is_xla_wanted(config, gpu),
    )


def differentiate(function: Callable[[Any], Any], values: Any) -> Any:
    """Return the gradient of a function on a tensor, of the tensor's shape.

    `function` maps the tensor to a scalar, by Keras' operations alone.
    """
    if keras_backend() == "jax":
        import jax

        return jax.grad(function)(values)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values)
        result = function(values)
    return tape.gradient(result, values)


def _set_up_tensorflow(config: RunConfig) -> _Gpu | None:
    # Without an NVIDIA driver TensorFlow logs errors about it, which would alarm for nothing.
    has_driver = Path("/dev/nvidiactl").exists()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if has_driver else "3")
    # TensorFlow leaves oneDNN off on processors without AVX-512, which lose much by it.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import keras
    import tensorflow as tf

    gpu = _take_gpu(tf)
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    return gpu


def _take_gpu(tf: Any) -> _Gpu | None:
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    index = reserve_slot(home() / "gpus", count=len(gpus))
    tf.config.set_visible_devices(gpus[index], "GPU")
    if limit_mib := gpu_memory_limit_mib():
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=limit_mib)
        tf.config.set_logical_device_configuration(gpus[index], [limit])
    else:
        tf.config.experimental.set_memory_growth(gpus[index], True)
    details: dict[str, Any] = tf.config.experimental.get_device_details(gpus[index])
    name = f"GPU {index} of {len(gpus)} ({details.get('device_name', 'unknown')})"
    return _Gpu(name, details.get("compute_capability", (0, 0)))


def _set_up_jax(config: RunConfig) -> _Gpu | None:
    if gpu_memory_limit_mib():
        _logger.warning("GALAXY_GPU_MEMORY_MIB has no effect with JAX; its memory grows as needed.")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if config.deterministic:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    import jax

    gpus = [device for device in jax.devices() if device.platform == "gpu"]
    if not gpus:
        return None
    index = reserve_slot(home() / "gpus", count=len(gpus))
    jax.config.update("jax_default_device", gpus[index])
    capability = tuple(map(int, gpus[index].compute_capability.split(".")))
    return _Gpu(f"GPU {index} of {len(gpus)} ({gpus[index].device_kind})", capability)


def _choose_precision(config: RunConfig, gpu: _Gpu | None) -> Precision:
    if config.precision != "auto":
        return config.precision
    if gpu is None:
        return "float32"
    has_bfloat16 = gpu.compute_capability >= _BFLOAT16_CAPABILITY
    return "mixed_bfloat16" if has_bfloat16 else "mixed_float16"


def _is_xla_wanted(config: RunConfig, gpu: _Gpu | None) -> bool:
    """Return whether TensorFlow compiles with XLA; Keras silently does not where deterministic."""
    is_wanted = config.xla == "on" or (config.xla == "auto" and gpu is not None)
    return is_wanted and not config.deterministic


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


def halve_batch(batch_size: int, error: Exception) -> int:
    """Return half the batch if the error is that memory ran out, and raise otherwise."""
    if not is_out_of_memory(error):
        raise error
    if batch_size == 1:
        raise ResourceError(
            "The device has too little memory for a batch of one galaxy. "
            "Choose a smaller image_size_px or a smaller network."
        ) from error
    halved = batch_size // 2
    _logger.warning("Out of memory with batches of %d: continuing with %d.", batch_size, halved)
    return halved
