import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fixtures.processes import list_alive

from galaxy_tasks.errors import InputError
from galaxy_tasks.standalone import server, sessions
from galaxy_tasks.standalone.__main__ import count_gpu_slots
from galaxy_tasks.standalone.environment import make_environment
from galaxy_tasks.standalone.loopback import find_free_port
from galaxy_tasks.standalone.paths import Paths

ROOT = Path(__file__).parents[2]
# A program whose child leaves the process group, as Airflow's tasks do, and will not be told.
STUBBORN = """
import os, signal, time
if os.fork() == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def stubborn(tmp_path):
    """The leader of a session with two processes, each ready to be ended."""
    with (tmp_path / "log").open("wb") as log:
        leader = sessions.start_session(
            [sys.executable, "-c", STUBBORN], folder=tmp_path, environment=os.environ, log=log
        )
    deadline = time.monotonic() + 30
    while (tmp_path / "log").read_text().count("ready") < 2:
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)
    yield leader
    sessions.end_sessions([leader.pid], grace_s=0)
    leader.wait()


def test_ending_a_session_ends_a_child_that_left_the_group_and_ignores_the_signal(stubborn):
    family = [psutil.Process(stubborn.pid), *psutil.Process(stubborn.pid).children()]
    assert len(family) == 2

    assert sessions.end_sessions([stubborn.pid], grace_s=0.5) == 2

    stubborn.wait()
    assert list_alive(family) == []


def test_ending_a_session_spares_all_others(stubborn):
    assert sessions.end_sessions([2**22 + 1], grace_s=0) == 0
    assert stubborn.poll() is None


def test_next_start_ends_what_a_killed_one_left(stubborn, tmp_path, caplog):
    paths = Paths(ROOT, tmp_path)
    server.note_session(paths, stubborn.pid)
    server.end_leftovers(paths)
    assert "Ended 2 processes" in caplog.text
    stubborn.wait()


def test_next_start_spares_a_stranger_with_the_number_of_a_leader_that_is_gone(stubborn, tmp_path):
    paths = Paths(ROOT, tmp_path)
    paths.sessions.write_text(f'{{"{stubborn.pid}": 1.0}}')
    server.end_leftovers(paths)
    assert stubborn.poll() is None


def test_a_port_in_use_is_not_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert find_free_port(port) != port
    assert find_free_port(port) == port


def test_a_second_start_in_the_same_folder_is_refused_and_told_where_the_first_is(tmp_path):
    (tmp_path / "address").write_text("http://127.0.0.1:8099")
    holder = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'w'); "
        "fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "lock")], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            with (
                pytest.raises(
                    InputError, match=r"already running at http://127.0.0.1:8099.*login: admin"
                ),
                server.run_server(Paths(ROOT, tmp_path), port=0, preset="quick"),
            ):
                pass
        finally:
            other.kill()


def test_a_folder_in_which_sqlite_cannot_work_is_told_with_the_way_out(tmp_path):
    paths = Paths(ROOT, tmp_path)
    server.check_disk(paths)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "check.db").mkdir()  # SQLite cannot open it, as on a disk without locks
    with pytest.raises(InputError, match="export GALAXY_AIRFLOW_HOME=/var/tmp/"):
        server.check_disk(paths)


@pytest.mark.parametrize("name", ["what?", "a:b", "it's", "50%"])
def test_a_folder_that_airflow_would_take_apart_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_AIRFLOW_HOME", str(tmp_path / name))
    with pytest.raises(InputError, match="GALAXY_AIRFLOW_HOME must have no quotes"):
        Paths.of_this_project()


def test_a_taken_port_is_said(tmp_path):
    """Up to where Airflow would start, which a file in place of its folder of programs prevents."""
    (tmp_path / "bin").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = (
            "import sys; from pathlib import Path; from galaxy_tasks.logs import set_up_logging; "
            "from galaxy_tasks.standalone import server; from galaxy_tasks.standalone.paths import "
            "Paths; set_up_logging(); "
            f"server.run_server(Paths(Path({str(ROOT)!r}), Path({str(tmp_path)!r})), port={port}, "
            "preset='quick').__enter__()"
        )
        answer = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
        )
    assert f"WARNING: Port {port} is in use; the page is at port" in answer.stdout, answer.stderr


def test_a_run_under_nohup_outlives_its_terminal(tmp_path):
    """The command sets its handlers up, then refuses; a hang-up that is ignored stays ignored."""
    program = (
        "import os, signal, sys; sys.argv[1:] = ['--preset', 'none']\n"
        "from galaxy_tasks.standalone import __main__ as command\n"
        "try:\n    command.main()\nexcept SystemExit:\n    os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('alive')"
    )
    for before, is_alive in (("nohup", True), ("env --default-signal=HUP", False)):
        shown = subprocess.run(
            ["bash", "-c", f'{before} "$0" -c "$1"', sys.executable, program],
            cwd=ROOT, capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        assert ("alive" in shown) == is_alive


def test_airflow_gets_settings_of_its_own_and_none_of_the_callers(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", "spark://cluster:7077")
    monkeypatch.setenv("GALAXY_HOME", "results")
    monkeypatch.setenv("SPARK_HOME", "/opt/an-older-spark")

    environment = make_environment(Paths(ROOT, tmp_path), port=8080, preset="quick")

    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW_HOME"] == str(tmp_path)
    assert environment["AIRFLOW_CONN_SPARK_DEFAULT"] == "spark://cluster:7077"
    assert environment["GALAXY_HOME"] == str(Path.cwd() / "results")
    assert environment["SPARK_HOME"] != "/opt/an-older-spark"


def test_another_airflow_or_spark_has_no_say(tmp_path, monkeypatch):
    for name in ("AIRFLOW_CONFIG", "SPARK_CONF_DIR", "PYSPARK_PYTHON"):
        monkeypatch.setenv(name, "/opt/another")
    monkeypatch.delenv("AIRFLOW_CONN_SPARK_DEFAULT", raising=False)

    environment = make_environment(Paths(ROOT, tmp_path), port=8080, preset="quick")

    assert [name for name, value in environment.items() if value == "/opt/another"] == []
    assert environment["PYSPARK_PYTHON"] == sys.executable

    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", "spark://cluster:7077")
    environment = make_environment(Paths(ROOT, tmp_path), port=8080, preset="quick")
    assert environment["SPARK_CONF_DIR"] == "/opt/another"


def test_this_machine_is_reached_without_a_proxy_however_the_variable_is_spelt(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("no_proxy", "lower.example, both.example")
    monkeypatch.setenv("NO_PROXY", "both.example,upper.example")

    environment = make_environment(Paths(ROOT, tmp_path), port=8080, preset="quick")

    for name in ("no_proxy", "NO_PROXY"):
        assert set(environment[name].split(",")) == {
            *("lower.example", "both.example", "upper.example", "127.0.0.1")
        }


def test_password_and_key_are_made_once_for_the_owner_alone(tmp_path):
    paths = Paths(ROOT, tmp_path)
    assert server.read_password(paths) == server.read_password(paths)
    first = make_environment(paths, port=1, preset="quick")["AIRFLOW__API__SECRET_KEY"]
    assert make_environment(paths, port=1, preset="quick")["AIRFLOW__API__SECRET_KEY"] == first
    assert len(first) >= 64
    for path in (paths.passwords, paths.signing_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_number_of_networks_that_train_at_once_can_be_set(monkeypatch):
    monkeypatch.setenv("GALAXY_GPU_SLOTS", "7")
    assert count_gpu_slots() == 7
    monkeypatch.delenv("GALAXY_GPU_SLOTS")
    assert count_gpu_slots() >= 1


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_networks_is_refused(wrong, monkeypatch):
    monkeypatch.setenv("GALAXY_GPU_SLOTS", wrong)
    with pytest.raises(InputError, match=rf"GALAXY_GPU_SLOTS must be .* Received: '{wrong}'"):
        count_gpu_slots()


@pytest.mark.parametrize(
    ("preset", "defaults"),
    [
        ("quick", ["Default with preset quick: 72.", "alexnet, resnet18, densenet121."]),
        ("full", ["Default with preset full: 224."]),
        ("fast", ["Default with preset full: 224."]),
    ],
)
def test_help_shows_the_defaults_of_the_preset_that_is_taken(preset, defaults, tmp_path):
    answer = run_command("--help", home=tmp_path, GALAXY_PRESET=preset, COLUMNS="400")
    assert answer.returncode == 0, answer.stderr
    assert [words for words in defaults if words not in answer.stdout] == []


OF_NO_FOLDER = '[{"release": "class_table", "source": "no/such"}]'


@pytest.mark.parametrize(
    ("options", "variables", "message"),
    [
        (["--image-size-px", "16"], {}, "image_size_px"),
        (["--image-size", "64"], {}, "--image-size"),
        (["--release", "galaxy_zoo_desi"], {}, "source"),
        (["--release", "class_table", "--source", "/no/such"], {}, "There is none at: /no/such"),
        (["--combine", OF_NO_FOLDER], {}, f"There is none at: {ROOT / 'no/such'}"),
        ([], {"GALAXY_AIRFLOW_HOME": "/tmp/a:b"}, "GALAXY_AIRFLOW_HOME"),
        ([], {"GALAXY_GPU_SLOTS": "0"}, "GALAXY_GPU_SLOTS"),
    ],
)
def test_command_refuses_what_is_wrong_before_it_starts_anything(
    options, variables, message, tmp_path
):
    answer = run_command(*options, home=tmp_path / "airflow", **variables)
    assert answer.returncode in (1, 2)
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "airflow").exists()


def run_command(*options, home, **environment):
    return subprocess.run(
        [sys.executable, "-m", "galaxy_tasks.standalone", *options],
        cwd=ROOT,
        env={**os.environ, "GALAXY_AIRFLOW_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_name_of_an_option_is_cut_in_a_terminal_of_80_columns(tmp_path):
    for module in (["galaxy_tasks.standalone"], ["galaxy_tasks.cli.main", "run"]):
        answer = subprocess.run(
            [sys.executable, "-m", *module, "--help"],
            cwd=ROOT, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert "--early-stopping-patience-epochs" in answer.stdout
        assert "…" not in answer.stdout
