"""Readers see a whole artifact or none, and of two writers exactly one publishes."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_json

MADE_FROM = {"content": "abc", "size": 3}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    return tmp_path


def publish(text: str = "data") -> artifacts.Artifact:
    with artifacts.open_draft("labels", MADE_FROM) as draft:
        if draft.published:
            return draft.published
        (draft.path / "part").mkdir(exist_ok=True)
        (draft.path / "part" / "file.txt").write_text(text)
        return draft.publish({"rows": 1})


def test_a_published_artifact_is_found_whole_and_verified():
    artifact = publish()
    assert artifacts.find("labels", MADE_FROM) == artifact
    manifest = artifact.manifest
    assert manifest["summary"] == {"rows": 1}
    assert manifest["made_from"] == MADE_FROM
    assert manifest["files"]["part/file.txt"]["bytes"] == 4
    artifacts.verify(artifact)
    assert artifacts.Artifact.from_reference(artifact.as_reference()) == artifact


def test_what_serves_only_to_go_on_is_no_part_of_the_artifact():
    with artifacts.open_draft("models", MADE_FROM) as draft:
        (draft.path / "weights").write_text("w")
        (draft.path / "last-0001.npz").write_text("c")
        artifact = draft.publish(discard=["*.npz"])
    assert list(artifact.manifest["files"]) == ["weights"]
    assert sorted(path.name for path in artifact.path.iterdir()) == ["manifest.json", "weights"]


def test_a_changed_file_is_found_out():
    artifact = publish()
    (artifact.path / "part" / "file.txt").write_text("DATA")
    with pytest.raises(InputError, match=r"file\.txt was changed"):
        artifacts.verify(artifact)


def test_the_key_changes_with_anything_that_it_is_made_from():
    keys = {
        artifacts.key_of(MADE_FROM),
        artifacts.key_of({**MADE_FROM, "size": 4}),
        artifacts.key_of({**MADE_FROM, "seed": 1}),
    }
    assert len(keys) == 3
    assert artifacts.key_of(MADE_FROM) == artifacts.key_of(dict(reversed(MADE_FROM.items())))


def test_an_unfinished_draft_is_invisible_and_outlives_its_writer():
    with artifacts.open_draft("labels", MADE_FROM) as draft:
        (draft.path / "half").write_text("half")
    assert artifacts.find("labels", MADE_FROM) is None
    with artifacts.open_draft("labels", MADE_FROM) as draft:
        assert (draft.path / "half").read_text() == "half"
        draft.clear()
        assert not list(draft.path.iterdir())


def _publish_in_process(results) -> None:
    results.put(publish(str(os.getpid())).manifest["published"])


def test_of_several_writers_exactly_one_publishes(home):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    writers = [context.Process(target=_publish_in_process, args=(results,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    folders = [path for path in (home / "labels").iterdir() if path.is_dir()]
    assert len(folders) == 1
    writer_id = int((folders[0] / "part" / "file.txt").read_text())
    assert writer_id in [writer.pid for writer in writers]


def test_a_killed_writer_frees_the_draft():
    program = (
        "from galaxy_tasks.storage import artifacts; import time\n"
        f"with artifacts.open_draft('labels', {MADE_FROM!r}) as draft:\n"
        "    print('locked', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"locked\n"
        with (
            pytest.raises(ResourceError, match="stayed locked"),
            artifacts.open_draft("labels", MADE_FROM, timeout_s=0.1),
        ):
            pass
        os.kill(writer.pid, signal.SIGKILL)
    started = time.monotonic()
    publish()
    assert time.monotonic() - started < 5


def test_a_reference_to_a_missing_artifact_is_refused():
    reference = publish().as_reference()
    reference["path"] += "x"
    with pytest.raises(InputError, match="is not a published artifact"):
        artifacts.Artifact.from_reference(reference)


def test_json_is_replaced_in_one_piece(home):
    path = home / "state.json"
    write_json(path, {"epoch": 1})
    write_json(path, {"epoch": 2})
    assert json.loads(path.read_text()) == {"epoch": 2}
    assert [p.name for p in home.iterdir()] == ["state.json"]
