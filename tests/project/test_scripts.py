import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_bash(project, program, **environment):
    """Run a program in a copy of the scripts, whose project is `project`."""
    if not (project / "scripts").exists():
        shutil.copytree(ROOT / "scripts", project / "scripts")
    return subprocess.run(
        [
            "bash",
            "-c",
            f'set -euo pipefail\nsource "{project}/scripts/lib/environment.sh"\n{program}',
        ],
        env={**os.environ, "GALAXY_PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_environment_whose_making_was_interrupted_is_made_anew_and_a_whole_one_kept(tmp_path):
    venv.create(tmp_path / ".venv", with_pip=False)
    left = tmp_path / ".venv" / ".installed-cpu"
    left.touch()

    made = run_bash(tmp_path, 'make_venv && "$PYTHON" -m pip --version')

    assert made.returncode == 0, made.stderr
    assert "Making a virtual environment" in made.stderr
    assert str(tmp_path / ".venv") in made.stdout
    assert not left.exists()

    left.touch()
    again = run_bash(tmp_path, "make_venv")
    assert (again.returncode, again.stderr) == (0, "")
    assert left.exists()


def test_tests_are_run_where_no_package_can_be_installed(tmp_path):
    """The package manager of a machine without network: it is there and always fails."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "dirname", "id", "sudo", "env"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    (programs / "apt-get").write_text("#!/usr/bin/env bash\nexit 100\n")
    (programs / "apt-get").chmod(0o700)
    program = (
        'source "$PROJECT/scripts/lib/java.sh"\n'
        'source "$PROJECT/scripts/lib/test_programs.sh"\n'
        f'PATH="{programs}"\nmake_test_programs\necho goes on'
    )

    answer = run_bash(tmp_path, program, CI="1")

    assert (answer.returncode, answer.stdout) == (0, "goes on\n"), answer.stderr
    assert "Could not install chromium; the tests that need it cannot run." in answer.stderr


def test_the_process_id_of_an_engine_that_was_killed_is_forgotten(tmp_path):
    """A recycled id, one of nobody, no id at all, no file; and the program that does run."""
    with subprocess.Popen(["sleep", "60"]) as other:
        ended = subprocess.Popen(["true"])
        ended.wait()
        contents = {"recycled": str(other.pid), "nobody": f"{ended.pid}\n", "empty": ""}
        for name, content in contents.items():
            (tmp_path / name).write_text(content)
        (tmp_path / "running").write_text(str(other.pid))
        forget = "\n".join(
            f'forget_killed "{tmp_path / name}" containerd' for name in [*contents, "missing"]
        )

        answer = run_bash(
            tmp_path / "project",
            f'source "$PROJECT/scripts/lib/docker.sh"\n{forget}\n'
            f'forget_killed "{tmp_path / "running"}" sleep',
        )
        other.terminate()

    assert answer.returncode == 0, answer.stderr
    assert [name for name in contents if (tmp_path / name).exists()] == []
    assert (tmp_path / "running").exists()


@pytest.mark.parametrize(
    ("cores", "memory", "expected"),
    [
        (2, "MemTotal:       24617772 kB\n", 2),
        (16, "MemTotal:       24617772 kB\nMemFree:        1 kB\n", 4),
        (4, "MemTotal:        8144000 kB\n", 2),
        (2, "MemTotal:        2000000 kB\n", 1),
        (3, None, 3),
    ],
)
def test_each_process_of_the_tests_has_memory(tmp_path, cores, memory, expected):
    told = tmp_path / "meminfo"
    if memory:
        told.write_text(memory)
    program = (
        'source "$PROJECT/scripts/lib/java.sh"\n'
        'source "$PROJECT/scripts/lib/test_programs.sh"\n'
        f'getconf() {{ echo {cores}; }}\ncount_test_processes "{told}"'
    )

    answer = run_bash(tmp_path / "project", program)

    assert (answer.returncode, answer.stdout) == (0, f"{expected}\n"), answer.stderr
