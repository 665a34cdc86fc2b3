import signal

import psutil
import pytest
from harness import DAG_ID, list_alive, wait_for

pytestmark = pytest.mark.e2e


def test_ctrl_c_while_a_network_trains_leaves_no_process(standalone):
    """Runs last: it ends what the other end-to-end tests share."""
    settings = {**standalone.settings, "epochs": 500, "architectures": ["resnet18"]}
    run_id = standalone.client.trigger(DAG_ID, settings)
    wait_for(lambda: "epoch   1/500" in read_log_so_far(standalone, run_id), timeout_s=240)
    command = psutil.Process(standalone.process.pid)
    family = command.children(recursive=True)
    assert any("train_resnet" in line for line in list_alive(family))

    standalone.process.send_signal(signal.SIGINT)

    assert standalone.process.wait(timeout=60) == 0  # the command's own run had succeeded
    assert list_alive(family) == []


def read_log_so_far(standalone, run_id):
    is_running = standalone.tasks(run_id)["train_resnet"]["state"] == "running"
    return standalone.log("train_resnet", run_id) if is_running else ""
