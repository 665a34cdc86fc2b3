import base64
import hashlib
import re
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(f"requirements/{path.name}" for path in (ROOT / "requirements").iterdir())


def sha256_in_record(path):
    """Return the hash that `pip` keeps of a file: URL-safe base64 without padding."""
    digest = hashlib.sha256(Path(path).read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_pyspark_and_its_client_are_one_version_and_agree_on_every_file_they_share():
    pyspark, client = metadata.distribution("pyspark"), metadata.distribution("pyspark-client")
    assert pyspark.version == client.version

    files = {str(file): file for file in pyspark.files or []}
    shared = [file for file in client.files or [] if str(file) in files and file.hash]

    assert len(shared) > 300
    assert [str(f) for f in shared if f.hash.value != files[str(f)].hash.value] == []
    changed = [str(f) for f in shared if f.hash.value != sha256_in_record(f.locate())]
    assert changed == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_every_package_by_hash_and_names_no_index(name):
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, flags=re.MULTILINE)
    pins = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE | re.IGNORECASE)[1:]
    assert pins
    assert [p.splitlines()[0] for p in pins if "==" not in p or "--hash=sha256:" not in p] == []


@pytest.mark.parametrize("name", ["requirements/dev.lock", "requirements/gpu.lock"])
def test_every_lock_has_the_packages_of_the_main_one_in_the_same_versions(name):
    main, other = read_versions("requirements/cpu.lock"), read_versions(name)
    assert {package: other.get(package) for package in main} == main


@pytest.mark.parametrize("name", ["requirements/cpu.lock", "requirements/gpu.lock"])
def test_locks_that_a_container_installs_together_agree(name):
    cluster, other = read_versions("requirements/cluster.lock"), read_versions(name)
    common = cluster.keys() & other.keys()
    assert {"apache-airflow", "pyspark", "numpy"} <= common
    assert {package: other[package] for package in common} == {
        package: cluster[package] for package in common
    }


def test_control_plane_has_celery_and_accounts_and_no_tensorflow():
    packages = read_versions("requirements/cluster.lock")
    assert {"celery", "flask-appbuilder", "psycopg2-binary", "redis"} <= packages.keys()
    assert "tensorflow" not in packages


def read_versions(name):
    """Return {package: set of versions} of a lock; a package may have one for each Python."""
    versions = {}
    for line in (ROOT / name).read_text().splitlines():
        if pin := re.match(r"([a-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;]+)", line):
            versions.setdefault(pin[1], set()).add(pin[2])
    assert versions
    return versions
