"""The command refuses a wrong output before it starts to work."""

import subprocess
import sys


def galaxy_morphology(*arguments) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "galaxy_tasks.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_predict_refuses_a_folder_for_its_output(tmp_path):
    answer = galaxy_morphology("predict", tmp_path, "--model", tmp_path, "-o", tmp_path)
    assert answer.returncode == 65, answer.stderr
    assert f"Received a folder: {tmp_path}" in answer.stderr
    assert "classes.parquet" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_predict_refuses_an_output_in_a_folder_that_is_not_there(tmp_path):
    output = tmp_path / "none" / "out.csv"
    answer = galaxy_morphology("predict", tmp_path, "--model", tmp_path, "-o", output)
    assert answer.returncode == 65, answer.stderr
    assert f"a folder that does not exist. Received: {output}" in answer.stderr
