"""Parts of the stack are killed in the middle of a run, which ends as if nothing had been."""

import pandas as pd
import pytest
from harness import wait_for
from stack import LONG_RUN, read_scores

pytestmark = pytest.mark.e2e
EARLY = "epoch   3/12"


def start_training(stack):
    """Start a run that finds no models, and return it when a training is in its first epochs."""
    stack.forget("models", "evaluations")
    run_id = stack.trigger(**LONG_RUN)
    stack.wait_for_log(run_id, "train_resnet", EARLY)
    return run_id


def assert_same_end(stack, run_id, undisturbed):
    assert stack.wait_for_end(run_id, timeout_s=600) == "success"
    assert (stack.outcomes(), read_scores(stack)) == undisturbed
    stack.verify_artifacts()
    wait_for(lambda: not unhealthy(stack), timeout_s=120)


def unhealthy(stack):
    return {
        name: state
        for name, state in stack.services().items()
        if state != "running healthy" and name != "init"
    }


def test_a_run_outlives_its_spark_worker_and_then_its_trainer(stack, undisturbed):
    before = stack.labels()
    stack.forget("labels", "images", "models", "evaluations")
    known = {each["id"] for each in stack.list_spark_applications()}
    run_id = stack.trigger(**LONG_RUN)
    (job,) = wait_for(
        lambda: {each["id"] for each in stack.list_spark_applications()} - known, timeout_s=120
    )
    wait_for(lambda: "Running task" in stack.read_executors(job), timeout_s=120)
    stack.crash("spark-worker")
    stack.wait_for_log(run_id, "train_resnet", EARLY, timeout_s=600)
    stack.crash("trainer-cpu")
    assert_same_end(stack, run_id, undisturbed)
    assert "lost" in stack.log("clean_labels", run_id).lower()
    pd.testing.assert_frame_equal(stack.labels(), before)
    assert stack.task("train_resnet", run_id)["try_number"] == 2
    assert "Resuming after epoch" in stack.log("train_resnet", run_id)


def test_trainings_outlive_all_services_around_them(stack, undisturbed):
    run_id = start_training(stack)
    for service in ("scheduler", "redis", "postgres", "api-server"):
        stack.crash(service)
    assert_same_end(stack, run_id, undisturbed)
    assert stack.task("train_resnet", run_id)["try_number"] == 1


def test_run_goes_on_after_down_and_up(stack, undisturbed):
    run_id = start_training(stack)
    stack.compose("down", "--timeout", "1")  # with all of its time, this short training would end
    assert not stack.services()
    stack.up()
    assert_same_end(stack, run_id, undisturbed)
    assert "Resuming after epoch" in stack.log("train_resnet", run_id)
