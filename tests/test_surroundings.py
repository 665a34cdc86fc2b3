import os
import subprocess
import sys

import pytest

from galaxy_tasks.surroundings import UTF_8, count_gpus

PROGRAM = """
import locale, os, sys
from galaxy_tasks.surroundings import pin_surroundings
pin_surroundings()
with open(sys.argv[1]) as file:
    print(ascii(file.read()), ascii(sys.argv[1][-5:]), os.environ["LC_ALL"])
"""


@pytest.mark.parametrize("named", ["C", "POSIX", "en_US.ISO-8859-1", "C.UTF-8", "no_such"])
def test_files_and_names_are_read_as_utf_8_whatever_the_shell_says(tmp_path, named):
    (tmp_path / "größe").write_text("ünïcode", encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM)
    answer = subprocess.run(
        [sys.executable, tmp_path / "program.py", tmp_path / "größe"],
        env={**os.environ, "LC_ALL": named, "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout == f"{'ünïcode'!a} {'größe'!a} {UTF_8}\n", answer.stderr


@pytest.mark.parametrize(
    ("files", "program", "expected"),
    [
        (["nvidia0", "nvidia1", "nvidiactl"], "exit 1", 2),
        ([], 'echo "GPU 0: any"', 0),
        (["dxg"], 'echo "GPU 0: NVIDIA RTX (UUID: GPU-1)"', 1),  # WSL2
        (["dxg"], "echo NVIDIA-SMI has failed; exit 9", 0),
    ],
)
def test_gpus_are_found_by_their_files_or_in_wsl2_by_its_program(
    tmp_path, monkeypatch, files, program, expected
):
    for name in files:
        (tmp_path / name).touch()
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{program}\n")
    tool.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    assert count_gpus(tmp_path) == expected
