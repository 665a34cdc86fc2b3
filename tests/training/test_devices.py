"""Several trainings on one machine take different GPUs, and an ended one frees its own."""

import json
import os
import subprocess
import sys

import psutil
import pytest
from joblib import cpu_count

from galaxy_tasks.errors import InputError
from galaxy_tasks.images.workers import count_workers
from galaxy_tasks.training.device import gpu_memory_limit_mib, is_out_of_memory, reserve_slot


def hold_slot(folder) -> subprocess.Popen[str]:
    program = (
        "import sys, pathlib; from galaxy_tasks.training.device import reserve_slot\n"
        f"print(reserve_slot(pathlib.Path({str(folder)!r}), count=2), flush=True)\n"
        "sys.stdin.read()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_processes_take_different_slots_and_free_them(tmp_path):
    with hold_slot(tmp_path) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "0\n"
        with hold_slot(tmp_path) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "1\n"
            with hold_slot(tmp_path) as third:  # both taken: shared evenly, no waiting
                assert third.stdout is not None
                assert third.stdout.readline() == "0\n"
                assert reserve_slot(tmp_path, count=2) == 1
                third.kill()
            second.kill()
        assert reserve_slot(tmp_path, count=2) == 1
        first.kill()


def test_memory_of_a_shared_gpu_can_be_limited(monkeypatch):
    monkeypatch.delenv("GALAXY_GPU_MEMORY_MIB", raising=False)
    assert gpu_memory_limit_mib() is None
    monkeypatch.setenv("GALAXY_GPU_MEMORY_MIB", "8192")
    assert gpu_memory_limit_mib() == 8192


@pytest.mark.parametrize("named", ["8g", "-1", "100", "1.5"])
def test_a_wrong_memory_limit_is_refused(monkeypatch, named):
    monkeypatch.setenv("GALAXY_GPU_MEMORY_MIB", named)
    with pytest.raises(InputError, match=f"at least 256.*Received: '{named}'"):
        gpu_memory_limit_mib()


SET_UP = """
import json, sys
from galaxy_tasks.config import parse_config
from galaxy_tasks.training.device import set_up_device
device = set_up_device(parse_config(json.loads(sys.argv[1])))
import keras
policy = keras.mixed_precision.global_policy()
print(json.dumps([device.precision, device.is_xla, policy.compute_dtype, policy.variable_dtype]))
print(device.describe())
"""


@pytest.mark.parametrize(
    ("settings", "precision", "is_xla"),
    [
        ({}, "float32", False),
        ({"xla": "on"}, "float32", True),
        ({"xla": "on", "deterministic": True}, "float32", False),
        ({"precision": "mixed_bfloat16"}, "mixed_bfloat16", False),
    ],
)
def test_a_processor_computes_as_the_settings_say(settings, precision, is_xla):
    answer = subprocess.run(
        [sys.executable, "-c", SET_UP, json.dumps(settings)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    told, line = answer.stdout.splitlines()
    arithmetic = precision.removeprefix("mixed_")
    assert json.loads(told) == [precision, is_xla, arithmetic, "float32"]
    assert line.startswith("CPU (")
    assert line.endswith(f" cores), tensorflow, {precision}, XLA {'on' if is_xla else 'off'}")


@pytest.mark.parametrize(
    "text",
    [
        "RESOURCE_EXHAUSTED: failed to allocate 8 bytes",
        "Out of memory while trying to allocate 8 bytes",
        "INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "Failed to allocate request for 2 GiB on device ordinal 0: out of memory",
        "Dst tensor is not initialized.",
        "INTERNAL: failed to create handle: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_an_error_of_memory_counts_as_such(text):
    assert is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("text", ["shapes do not match", "Tensor is not initialized", ""])
def test_another_error_is_none_of_memory(text):
    assert not is_out_of_memory(ValueError(text))


def test_cores_are_those_of_this_process_or_of_the_machine(monkeypatch):
    assert cpu_count() == len(psutil.Process().cpu_affinity())
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert cpu_count() == os.cpu_count()
    assert count_workers(0) == os.cpu_count()
    assert count_workers(3) == 3
