"""The container stack's settings: made, completed and checked by `scripts/up` before it starts."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NO_ENGINE = "docker() { return 1; }"
"""Docker answers nothing, as on a machine without an engine: no GPU and no database."""


def run_bash(folder, program, **environment):
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{PRELUDE}\n{NO_ENGINE}\n{program}"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PROJECT": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


PRELUDE = f"""
ENV_FILE=$PWD/.env
say() {{ printf '%s\\n' "$*" >&2; }}
fail() {{ say "ERROR: $*"; exit 1; }}
source "{ROOT}/scripts/lib/stack_settings.sh"
"""


def read_settings(folder):
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def make_env(folder, text=""):
    (folder / ".env").write_text(text)
    made = run_bash(folder, "write_env && check_env")
    assert made.returncode == 0, made.stderr
    return read_settings(folder)


def test_every_setting_is_there_and_secrets_are_long_and_different(tmp_path):
    settings = make_env(tmp_path)
    example = (ROOT / ".env.example").read_text().splitlines()
    assert set(settings) == {line.split("=")[0] for line in example if line[:1].isupper()}
    secrets = [value for name, value in settings.items() if name.endswith(("_PASSWORD", "_KEY"))]
    secrets += [settings["JWT_SECRET"], settings["SPARK_SECRET"]]
    assert len(set(secrets)) == len(secrets) == 7
    assert min(map(len, secrets)) >= 32
    assert len(settings["JWT_SECRET"]) == 64  # HMAC with SHA-512 has blocks of so many bytes
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_a_last_line_without_line_feed_keeps_its_value(tmp_path):
    settings = make_env(tmp_path, "COMPOSE_PROFILES=cpu\nADMIN_PASSWORD=abc")
    assert settings["ADMIN_PASSWORD"] == "abc"
    assert settings["GALAXY_PRESET"] == "quick"


def test_what_is_there_stays_to_the_letter_when_a_newer_version_has_more(tmp_path):
    text = "# of ours\nGPU_SLOTS=3\nHTTP_PROXY_OF_OURS=kept\n"
    settings = make_env(tmp_path, text)
    assert (tmp_path / ".env").read_text().startswith(text)
    assert settings["TRAINER_MEMORY"] == "48g"
    before = (tmp_path / ".env").read_text()
    assert run_bash(tmp_path, "write_env").returncode == 0
    assert (tmp_path / ".env").read_text() == before


def test_a_wrong_number_of_slots_leaves_nothing_wrong_behind(tmp_path):
    (tmp_path / ".env").write_text("GPU_SLOTS=two\n")
    told = run_bash(tmp_path, "write_env && check_env")
    assert "GPU_SLOTS in .env: expected a whole number above 0. Received: 'two'" in told.stderr
    text = (tmp_path / ".env").read_text()
    (tmp_path / ".env").write_text(text.replace("GPU_SLOTS=two", "GPU_SLOTS=2"))
    assert run_bash(tmp_path, "write_env && check_env").returncode == 0
    assert read_settings(tmp_path)["TRAINER_MEMORY"] == "32g"


def test_settings_that_are_kept_elsewhere_stay_there(tmp_path):
    (tmp_path / "secrets").write_text("GPU_SLOTS=1\n")
    (tmp_path / ".env").symlink_to("secrets")
    assert run_bash(tmp_path, "write_env").returncode == 0
    assert (tmp_path / ".env").is_symlink()
    assert "FERNET_KEY=" in (tmp_path / "secrets").read_text()


def test_a_full_disk_costs_no_setting(tmp_path):
    before = "COMPOSE_PROFILES=cpu\nFERNET_KEY=precious\n"
    (tmp_path / ".env").write_text(before)
    done = run_bash(tmp_path, "with_line() { echo half; return 1; }; write_env")
    assert done.returncode == 1
    assert "could not be changed" in done.stderr
    assert (tmp_path / ".env").read_text() == before


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("TRAINER_MEMORY=g", "a size such as 512m or 4g. Received: 'g'"),
        ("POSTGRES_PASSWORD=p@ss/word", "letters, digits and"),
        ("REDIS_PASSWORD=p:w", "letters, digits and"),
        ("GPU_MEMORY_MIB=8g", "a whole number of MiB, or nothing. Received: '8g'"),
        ("SPARK_WORKERS=0", "a whole number above 0. Received: '0'"),
        ("LOG_RETENTION_DAYS=", "a whole number above 0. Received: ''"),
        ("SPARK_WORKER_MEMORY=16", "a size such as 512m or 4g. Received: '16'"),
        ("SPARK_EXECUTOR_MEMORY=4g", "more than the SPARK_WORKER_MEMORY"),
        ("SPARK_WORKER_MEMORY_LIMIT=2g", "at least 3020m"),
        ("COMPOSE_PROFILES=cpu,gpu", "expected one of gpu and cpu"),
        ("GALAXY_RUNS='./my runs'", "write the plain value"),
    ],
)
def test_a_wrong_setting_is_told(tmp_path, line, told):
    make_env(tmp_path)
    name = line.split("=")[0]
    others = [
        each
        for each in (tmp_path / ".env").read_text().splitlines()
        if not each.startswith(f"{name}=")
    ]
    (tmp_path / ".env").write_text("\n".join([*others, line]))
    done = run_bash(tmp_path, "check_env")
    assert done.returncode == 1
    assert f"{name} in .env" in done.stderr
    assert told in done.stderr


def test_a_variable_of_the_shell_does_not_override_the_file(tmp_path):
    make_env(tmp_path, "WEB_PORT=8090\n")
    done = run_bash(
        tmp_path, 'forget_shell_variables; echo "${WEB_PORT:-none}"', WEB_PORT="9999", OTHER="1"
    )
    assert done.stdout == "none\n"
    assert "WEB_PORT: the value in .env is used" in done.stderr


def test_hosts_without_a_proxy_come_from_the_shell_and_from_docker(tmp_path):
    docker = tmp_path / ".docker" / "config.json"
    docker.parent.mkdir()
    docker.write_text('{"proxies": {"default": {"noProxy": "localhost,*.uni.example"}}}')
    (tmp_path / ".env").write_text("")
    done = run_bash(tmp_path, "write_env && check_env", HOME=str(tmp_path), no_proxy="a.example")
    assert done.returncode == 0, done.stderr
    assert read_settings(tmp_path)["NO_PROXY_HOSTS"] == "a.example,localhost,*.uni.example"


def load_services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_services_reach_each_other_without_a_proxy():
    services = load_services()
    for service in services.values():
        if "image" in service and str(service["image"]).startswith("galaxy-morphology"):
            environment = service["environment"]
            if "GALAXY_ROLE" in environment or "FERNET" in str(environment):
                for name in ("NO_PROXY", "no_proxy"):
                    hosts = environment[name].partition("$")[0].split(",")
                    assert {*services, "trainer", "localhost", "127.0.0.1"} <= set(hosts)


def test_folders_of_this_machine_are_labelled_for_containers_where_selinux_asks_for_it():
    mounts = [mount for s in load_services().values() for mount in s.get("volumes", [])]
    folders = [mount for mount in mounts if mount.startswith((".", "$"))]
    assert len(folders) > 10
    assert [mount for mount in folders if not re.search(r":(ro,)?z$", mount)] == []


@pytest.mark.parametrize("answer", ['["name=seccomp","name=rootless"]', '["name=userns"]'])
def test_an_engine_that_maps_users_is_refused_before_anything_is_made(tmp_path, answer):
    """Its containers would leave results that belong to nobody."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        "#!/bin/sh\n"
        f"case \"$*\" in *SecurityOptions*) echo '{answer}' ;; *--short*) echo 2.30 ;; esac\n"
    )
    docker.chmod(0o700)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    done = subprocess.run(
        ["bash", tmp_path / "scripts" / "up"],
        env={"PATH": f"{docker.parent}:/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "This Docker engine maps users" in done.stderr
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(
    ("can_write", "told"), [(True, "could not be changed"), (False, "cannot be written by user")]
)
def test_a_disk_that_lets_nobody_change_an_owner_is_enough_if_it_can_be_written(
    tmp_path, can_write, told
):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, program in {
        "find": "exit 1",
        "id": "echo 1000",
        "mkdir": "exit 0",
        "python": "exit 0",
        "test": f"exit {0 if can_write else 1}",
        "setpriv": 'shift 5; exec "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{program}\n")
        (programs / name).chmod(0o700)
    done = subprocess.run(
        ["bash", ROOT / "docker" / "init.sh"],
        env={"PATH": f"{programs}:/usr/bin:/bin", "COMPOSE_PROFILES": "cpu"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode == 0) == can_write, done.stderr
    assert told in done.stderr


def test_a_taken_port_is_told_by_the_setting_that_changes_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        make_env(tmp_path, f"SPARK_WEB_PORT={port}\nWEB_PORT=1\n")
        done = run_bash(tmp_path, "check_ports")
        assert f"SPARK_WEB_PORT in .env is {port}, which another program uses" in done.stderr
        # The stack's own service holds it.
        mine = run_bash(tmp_path, 'docker() { echo "container"; }; check_ports')
        assert mine.returncode == 0, mine.stderr
    assert run_bash(tmp_path, "check_ports").returncode == 0


def test_files_that_containers_could_not_read_are_told(tmp_path):
    make_env(tmp_path, "GALAXY_UID=4242\nSPARK_CONF=spark\n")
    for name in ("dags", "plugins", "spark"):
        done = run_bash(tmp_path, "check_readable")
        assert "SPARK_CONF in .env: there is no folder 'spark'" in done.stderr
        (tmp_path / name).mkdir()
    hidden = tmp_path / "dags" / "hidden.py"
    hidden.touch(mode=0o600)
    done = run_bash(tmp_path, "check_readable")
    assert done.returncode == 1
    assert "chmod -R o+rX dags plugins spark" in done.stderr
    hidden.chmod(0o644)
    assert run_bash(tmp_path, "check_readable").returncode == 0


def test_workers_serve_the_logs_of_running_tasks_under_names_that_the_page_can_resolve():
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    trainer = stack["x-trainer"]
    assert trainer["networks"]["default"]["aliases"] == [trainer["hostname"]]
    commands = [str(stack["services"]["worker"]["command"])]
    commands += [(ROOT / name).read_text() for name in ("Dockerfile", "Dockerfile.gpu")]
    assert [text for text in commands if "celery" not in text or "--skip-serve-logs" in text] == []
