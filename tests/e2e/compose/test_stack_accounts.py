"""Who may do what, what listens where, and where the secrets are."""

import json
import stat
import urllib.error
import urllib.request

import pytest
from harness import DAG_ID
from stack import RUN_SETTINGS, inspect

from galaxy_tasks.standalone.client import ApiError, Client

pytestmark = pytest.mark.e2e
SECRETS = (
    *("ADMIN_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD"),
    *("FERNET_KEY", "API_SECRET_KEY", "JWT_SECRET", "SPARK_SECRET"),
)


@pytest.fixture(scope="module")
def viewer(stack):
    stack.run_in(
        "api-server",
        *("airflow", "users", "create", "--role", "Viewer", "--username", "viewer"),
        *("--password", "only-looks", "--email", "viewer@localhost"),
        *("--firstname", "Vera", "--lastname", "Viewer"),
    )
    return Client(stack.client.address, user="viewer", password="only-looks")


def test_wrong_password_is_refused(stack):
    with pytest.raises(ApiError) as caught:
        Client(stack.client.address, user="admin", password="admin").get("dags")
    assert caught.value.status == 401


@pytest.mark.parametrize("path", ["dags", "connections", "dags/galaxy_morphology/dagRuns"])
def test_anonymous_call_is_refused(stack, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{stack.client.address}/api/v2/{path}", timeout=30)
    assert caught.value.code == 401
    caught.value.close()


def test_viewer_sees_the_dag_and_cannot_trigger_it(stack, viewer):
    before = stack.client.get(f"dags/{DAG_ID}/dagRuns")["total_entries"]
    assert viewer.get(f"dags/{DAG_ID}")["dag_id"] == DAG_ID
    with pytest.raises(ApiError) as caught:
        viewer.trigger(DAG_ID, RUN_SETTINGS)
    assert caught.value.status == 403
    assert stack.client.get(f"dags/{DAG_ID}/dagRuns")["total_entries"] == before


def test_database_keeps_letters_of_any_script(stack):
    query = ("psql", "--username", "airflow", "--tuples-only", "--no-align")
    told = stack.run_in("postgres", *query, "--command", "SHOW server_encoding")
    assert told.strip() == "UTF8"


@pytest.fixture(scope="module")
def dag_that_fails(stack):
    """What a start prints of a DAG that cannot be imported, and what the next one prints.

    And the settings before and after them, with one that a user has added.
    """
    path = stack.folder / "dags" / "galaxy_morphology.py"
    text = path.read_text()
    with (stack.folder / ".env").open("a") as file:
        file.write("HTTP_PROXY_OF_OURS=kept\n")
    before = stack.settings
    path.write_text("import no_such_module\n" + text)
    try:
        stack.client.call("DELETE", f"dags/{DAG_ID}")
        with pytest.raises(AssertionError) as caught:
            stack.up(UP_DAG_TIMEOUT_S="20")
    finally:
        path.write_text(text)
    return str(caught.value), stack.up(), (before, stack.settings)


def test_a_dag_that_cannot_be_imported_is_told_at_the_start(dag_that_fails):
    told, told_next, _ = dag_that_fails
    assert "ERROR: After 20 s, Airflow does not know the DAG galaxy_morphology" in told
    assert "No module named 'no_such_module'" in told
    assert "  known after " in told_next


def test_another_start_keeps_secrets_settings_and_what_users_added(dag_that_fails):
    _, _, (before, after) = dag_that_fails
    assert "HTTP_PROXY_OF_OURS" in before
    assert after == before


def list_containers(stack):
    return stack.compose("ps", "--quiet").split()


def test_ports_listen_on_the_loopback_address_only(stack):
    published = [
        binding["HostIp"]
        for container in list_containers(stack)
        for bindings in json.loads(inspect(container, "{{json .NetworkSettings.Ports}}")).values()
        for binding in bindings or []
    ]
    assert set(published) == {"127.0.0.1"}
    assert len(published) == 3  # the pages of Airflow, Spark and MLflow


def test_no_container_can_reach_the_engine(stack):
    for container in list_containers(stack):
        assert "docker.sock" not in inspect(container, "{{json .Mounts}}")
        assert inspect(container, "{{.HostConfig.Privileged}}") == "false"


def test_services_of_ours_run_as_nobody_special_and_cannot_change_the_dag(stack):
    for service in ("api-server", "scheduler", "worker", "trainer-cpu", "spark-worker", "mlflow"):
        assert stack.run_in(service, "id", "-u").strip() == stack.settings["GALAXY_UID"] != "0"
    written = stack.compose(
        *("exec", "-T", "worker", "touch", "/opt/airflow/dags/new.py"), is_checked=False
    )
    assert "Read-only file system" in written


def test_secrets_are_generated_and_kept_for_their_owner(stack):
    path = stack.folder / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    values = [stack.settings[name] for name in SECRETS]
    assert all(len(value) >= 32 for value in values)
    assert len(set(values)) == len(values)
    assert stack.settings["ADMIN_PASSWORD"] in stack.printed


def test_without_its_secrets_nothing_starts_and_the_way_is_told(stack, tmp_path):
    empty = tmp_path / "empty.env"
    empty.touch()
    told = stack.compose("--env-file", str(empty), "config", is_checked=False)
    assert "Run scripts/up, which writes .env" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("COMPOSE_PROFILES=both", "expected one of gpu and cpu"),
        ("COMPOSE_PROFILES=cpu,gpu", "expected one of gpu and cpu"),
        ("GPU_SLOTS=abc", "expected a whole number above 0. Received: 'abc'"),
        ("GALAXY_UID=0", "expected a whole number above 0"),
        ("ADMIN_PASSWORD=pa$word", "write the plain value"),
        ('GALAXY_RUNS="./my runs"', "write the plain value"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_changed(stack, line, told):
    path = stack.folder / ".env"
    before = path.read_text()
    name = line.split("=")[0]
    others = [each for each in before.splitlines() if not each.startswith(f"{name}=")]
    try:
        path.write_text("\n".join([*others, line, ""]))
        with pytest.raises(AssertionError) as caught:
            stack.up()
    finally:
        path.write_text(before)
    assert f"ERROR: {name} in .env: " in str(caught.value)
    assert told in str(caught.value)


def test_a_lost_settings_file_is_told_before_anything_is_changed(stack):
    path = stack.folder / ".env"
    path.rename(stack.folder / "kept.env")
    try:
        with pytest.raises(AssertionError, match=r"\.env with its password is missing"):
            stack.up()
        assert not path.exists()
    finally:
        (stack.folder / "kept.env").rename(path)
