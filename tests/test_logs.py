"""What libraries print while they load is left out; all else comes through."""

import os

from galaxy_tasks.logs import without_noise


def test_noise_is_left_out_and_all_else_comes_through(capfd):
    lines = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
        "I0000 00:00:1795731440.113783   11942 port.cc:153] oneDNN custom operations are on.\n",
        "To enable the following instructions: AVX2 FMA, in other operations, rebuild.\n",
        "E0000 00:00:1795731440.1   11942 gpu.cc:1] CUDA failed\n",
    )
    with without_noise():
        for line in lines:
            os.write(2, line.encode())
    os.write(2, b"after\n")
    assert capfd.readouterr().err == f"{lines[-1]}after\n"
