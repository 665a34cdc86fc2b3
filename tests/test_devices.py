"""Several trainings on one machine take different GPUs, and an ended one frees its own."""

import subprocess
import sys

from galaxy_tasks.devices import is_out_of_memory, reserve_slot


def hold_slot(folder) -> subprocess.Popen[str]:
    program = (
        "import sys, pathlib; from galaxy_tasks.devices import reserve_slot\n"
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
            assert reserve_slot(tmp_path, count=2) in (0, 1)  # both taken: shared, no waiting
            second.kill()
        assert reserve_slot(tmp_path, count=2) == 1
        first.kill()


def test_only_errors_of_memory_count_as_such():
    assert is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: failed to allocate 8 bytes"))
    assert not is_out_of_memory(ValueError("shapes do not match"))
