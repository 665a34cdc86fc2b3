import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from galaxy_tasks.surroundings import UTF_8

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


@pytest.mark.parametrize("name", ["my galaxies", "größe", "日本 (2)", "a&b=c@d+e~f"])
def test_a_folder_with_blanks_and_letters_of_any_language_is_accepted(tmp_path, name):
    answer = run_bash(tmp_path / name, 'echo "$PROJECT"', LC_ALL="C")
    assert (answer.stdout, answer.stderr) == (f"{tmp_path / name}\n", "")


@pytest.mark.parametrize("script", ["run", "up", "check", "test", "lock"])
def test_a_folder_that_would_be_taken_apart_is_refused_before_anything_is_installed(
    tmp_path, script
):
    for name in ("it's", "the:sky", 'a"b', "a\nb", "[old]", "50%", "$HOME"):
        scripts = tmp_path / name / "scripts"
        shutil.copytree(ROOT / "scripts", scripts)
        answer = subprocess.run(
            ["bash", scripts / script], capture_output=True, text=True, check=False
        )
        assert answer.returncode == 1
        assert answer.stderr.startswith("ERROR: The folder of this project must have no quotes,")
        assert "nothing was installed" in answer.stderr
        assert [path.name for path in (tmp_path / name).iterdir()] == ["scripts"]


def test_the_users_own_python_and_locale_have_no_say(tmp_path):
    answer = run_bash(
        tmp_path,
        'cd scripts; echo "${PYTHONPATH:-none} ${PYTHONHOME:-none} $LC_ALL"',
        **{"PYTHONPATH": "/opt/a", "PYTHONHOME": "/opt/b", "LC_ALL": "tr_TR"},
        CDPATH=str(tmp_path),
    )
    assert answer.stdout == f"none none {UTF_8}\n", answer.stderr


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

    (tmp_path / ".venv").rename(tmp_path / "moved")
    shutil.copytree(ROOT / "scripts", tmp_path / "place" / "scripts")
    (tmp_path / "moved").rename(tmp_path / "place" / ".venv")
    elsewhere = run_bash(tmp_path / "place", "make_venv")
    assert "Making a virtual environment" in elsewhere.stderr  # the old one runs the old code


PIP_CONF = """
[global]
index-url = https://mirror.example/simple
extra-index-url =
    https://one.example/simple
    https://two.example/simple
cert = /etc/our-authority.pem
[install]
trusted-host = mirror.example
"""


def test_uv_gets_what_pip_is_configured_to_use_wherever_that_stands(tmp_path):
    (tmp_path / "pip.conf").write_text(PIP_CONF)
    cleared = ("PIP_", "UV_", "SSL_", "HTTP_", "HTTPS_")
    environment = {n: v for n, v in os.environ.items() if not n.upper().startswith(cleared)}
    environment |= {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_PROXY": "http://proxy:3128"}
    command = [sys.executable, ROOT / "scripts" / "lib" / "uv_settings.py"]

    def ask(**more):
        answer = subprocess.run(
            command, env={**environment, **more}, capture_output=True, text=True, check=True
        )
        return set(answer.stdout.splitlines())

    told = ask()
    assert {
        "export UV_DEFAULT_INDEX=https://mirror.example/simple",
        "export UV_INDEX='https://one.example/simple https://two.example/simple'",
        "export UV_INDEX_STRATEGY=unsafe-best-match",
        "export UV_INSECURE_HOST=mirror.example",
        "export SSL_CERT_FILE=/etc/our-authority.pem",
        "export HTTPS_PROXY=http://proxy:3128",
    } <= told
    kept = ask(UV_DEFAULT_INDEX="https://ours.example", https_proxy="http://ours")
    assert [line for line in kept if "DEFAULT_INDEX" in line or "HTTPS_PROXY" in line] == []


def test_a_checkout_of_windows_git_has_lines_that_bash_reads():
    listed = subprocess.run(
        ["git", "check-attr", "eol", "text", "--", "scripts/run", "docker/init.sh"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no clone")
    lines = listed.stdout.splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["lf", "auto"] * 2


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
