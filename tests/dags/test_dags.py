import contextlib
import json
import os
import re
import subprocess
import sys
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from galaxy_tasks.config import PRESETS, RunConfig, parse_config
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.pipeline.ablate import plan_ablation

DAGS = Path(__file__).parents[2] / "dags"
PLUGINS = DAGS.parent / "plugins"
TRAINERS = {"train_alexnet", "train_resnet", "train_densenet"}
ON_GPU = {*TRAINERS, "predict_champion"}
HEAVY = ["tensorflow", "keras", "pyspark", "cv2", "pandas", "numpy", "matplotlib", "sklearn"]


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory):
    """An empty AIRFLOW_HOME, so that no configuration of the machine's takes part."""
    home = tmp_path_factory.mktemp("airflow")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
            patch.delenv(name)
        patch.setenv("AIRFLOW_HOME", str(home))
        patch.setenv("GALAXY_PRESET", "quick")
        patch.syspath_prepend(str(DAGS))
        patch.syspath_prepend(str(PLUGINS))
        yield home


@pytest.fixture(scope="module")
def dag(airflow_home):
    import galaxy_morphology

    return galaxy_morphology.dag


@pytest.fixture(scope="module")
def ablation(airflow_home):
    import galaxy_ablation

    return galaxy_ablation.dag


@pytest.fixture(scope="module")
def policy(airflow_home):
    from galaxy_settings import FailOnBadData

    return FailOnBadData()


def decide(policy, error):
    return policy.evaluate(error, try_number=1, max_tries=2).action.value


def test_tasks_follow_each_other_as_documented(dag):
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "choose_release": {"prepare_release", "choose_seeds"},
        "choose_seeds": TRAINERS,
        "prepare_release": {"clean_labels"},
        "clean_labels": {"preprocess_images"},
        "preprocess_images": {*ON_GPU, "train_baseline"},
        "train_baseline": {"evaluate"},
        "predict_champion": {"evaluate"},
        "train_alexnet": {"evaluate"},
        "train_resnet": {"evaluate"},
        "train_densenet": {"evaluate"},
        "evaluate": {"promote", "request_approval"},
        "promote": set(),
        "request_approval": set(),
    }


def test_an_approval_stands_between_a_challenger_and_its_promotion(airflow_home):
    import galaxy_promotion

    dag = galaxy_promotion.dag
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "describe_challenger": {"approve"},
        "approve": {"promote"},
        "promote": set(),
    }
    approve = dag.get_task("approve")
    assert approve.response_timeout == timedelta(days=7)
    assert approve.defaults == ["Reject"]
    assert approve.execution_timeout is None  # it would end the wait


@pytest.mark.parametrize("wrong", ["", "../../etc", "3F9A0C55E1AA9B7D", "3f9a0c55e1aa9b7d/x"])
def test_an_approval_is_asked_for_an_evaluations_key_and_nothing_else(airflow_home, wrong):
    import galaxy_promotion
    from airflow.sdk.exceptions import ParamValidationError

    params = deepcopy(galaxy_promotion.dag.params)
    with pytest.raises(ParamValidationError, match="evaluation"):
        params.update({"evaluation": wrong})


def test_a_champion_predicts_the_listed_catalogues(airflow_home):
    import galaxy_prediction
    from galaxy_champion import galaxy_champion

    dag = galaxy_prediction.dag
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "list_catalogues": {"choose_model", "predict"},
        "choose_model": {"export_champion"},
        "export_champion": {"predict"},
        "predict": set(),
    }
    assert dag.get_task("export_champion").queue == "gpu"
    assert [asset.name for asset in dag.timetable.asset_condition.objects] == [galaxy_champion.name]


def test_only_a_promotion_emits_an_event(dag):
    import galaxy_promotion
    from galaxy_champion import galaxy_champion

    for promoting in (dag, galaxy_promotion.dag):
        emitting = [t.task_id for t in promoting.tasks if galaxy_champion in t.outlets]
        assert emitting == ["promote"]


class EmittedEvents(dict):
    """The events of a task's outlets."""

    def __missing__(self, asset):
        self[asset] = SimpleNamespace(extra={})
        return self[asset]


@pytest.mark.parametrize(
    ("is_new", "is_own", "try_number", "is_emitted"),
    [
        (True, True, 1, True),
        (False, True, 1, False),  # it was promoted before: a run that is repeated
        (False, True, 2, True),  # the first try may have been ended before the event
        (False, False, 2, False),  # another run has promoted it, and told of it
    ],
)
def test_what_a_promotion_emits(airflow_home, monkeypatch, is_new, is_own, try_number, is_emitted):
    import galaxy_champion
    from airflow.sdk.exceptions import AirflowSkipException

    done = {"is_new": is_new, "is_own": is_own, "reason": "a reason"}
    facts = {"name": "observed-5", "version": 3, "sha256": "ab"}
    asked = {}

    def promote(_, **arguments):
        asked.update(arguments)
        return {**facts, **done}

    monkeypatch.setattr(galaxy_champion, "run_step", promote)
    events = EmittedEvents()
    outcome = pytest.raises(AirflowSkipException, match="a reason")
    with contextlib.nullcontext() if is_emitted else outcome:
        galaxy_champion.promote_evaluated(
            "key",
            approver="",
            ti=SimpleNamespace(dag_id="dag", run_id="run", try_number=try_number),
            outlet_events=events,
        )
    assert asked["run"] == "dag/run"
    assert [one.extra for one in events.values()] == ([facts] if is_emitted else [])


def test_an_ablation_has_the_same_beginning_and_a_training_for_each_of_a_list(ablation):
    assert {task.task_id: task.downstream_task_ids for task in ablation.tasks} == {
        "choose_release": {"prepare_release", "list_preparations", "list_trainings"},
        "prepare_release": {"clean_labels"},
        "clean_labels": {"preprocess_images"},
        "list_preparations": {"preprocess_images"},
        "preprocess_images": {"train"},
        "list_trainings": {"train"},
        "train": {"evaluate_ablation"},
        "evaluate_ablation": set(),
    }
    assert {t.task_id for t in ablation.tasks if t.is_mapped} == {"preprocess_images", "train"}
    assert {t.task_id for t in ablation.tasks if (t.queue, t.pool) == ("gpu", "gpu")} == {"train"}


def test_the_form_of_an_ablation_has_what_to_vary_and_three_parts(ablation):
    assert list(ablation.params) == ["vary", *RunConfig.model_fields]
    assert ablation.params["repeats"] == 3
    form = dict(ablation.params)
    assert plan_ablation(form, form.pop("vary"))["preparations"]


def test_only_what_runs_a_model_needs_the_gpu(dag):
    assert {t.task_id for t in dag.tasks if t.queue == "gpu"} == ON_GPU
    assert {t.task_id for t in dag.tasks if t.pool == "gpu"} == ON_GPU
    assert set(dag.task_group_dict["train"].children) == TRAINERS
    weights = {t.task_id: t.priority_weight for t in dag.tasks}
    assert all(weights[name] > weights["predict_champion"] for name in TRAINERS)


def test_dag_is_started_by_releases_one_at_a_time_and_says_what_it_does(dag):
    assert (dag.dag_id, dag.catchup, dag.max_active_runs) == ("galaxy_morphology", False, 1)
    (asset,) = dag.schedule
    (watcher,) = asset.watchers
    assert asset.name == "galaxy_zoo_release"
    assert watcher.trigger.folder.endswith("/inbox")
    assert dag.tags >= {"galaxy-zoo", "spark", "tensorflow"}
    for heading in ("What", "When", "Needs", "Result"):
        assert f"**{heading}**" in dag.doc_md


def test_every_task_is_tried_again_and_ends_some_time(dag, policy):
    for task in dag.tasks:
        assert task.retries == 2
        assert isinstance(task.retry_policy, type(policy))
        assert task.execution_timeout >= timedelta(hours=1)


def test_a_failed_or_skipped_trainer_does_not_keep_the_others_from_evaluation(dag):
    assert dag.get_task("evaluate").trigger_rule == "all_done"


@pytest.mark.parametrize(
    ("pushed", "error"),
    [({}, "AirflowFailException"), ({("choose_release", "idle"): True}, "AirflowSkipException")],
)
def test_a_run_fails_without_images_unless_it_had_nothing_to_do(dag, pushed, error):
    class Pulls:
        def xcom_pull(self, task_id, key="return_value"):
            return pushed.get((task_id, key))

    with pytest.raises(Exception, match=r"no prepared images|nothing to do") as caught:
        dag.get_task("evaluate").python_callable(ti=Pulls())
    assert type(caught.value).__name__ == error


def test_labels_are_cleaned_by_the_submitted_application(dag):
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    task = dag.get_task("clean_labels")
    assert isinstance(task, SparkSubmitOperator)
    assert Path(task.application).name == "clean_labels.py"
    assert Path(task.application).is_file()
    assert task._conn_id == "spark_default"


def test_settings_and_release_reach_the_submitted_application_as_json(dag):
    task = dag.get_task("clean_labels")
    settings = {"source": 'it\'s <&> a "folder"', "ignored_classes": ["dont_know"]}
    files = {"catalogue": "/data/labels.csv", "images": "/data/images"}

    holdout = {"kind": "holdouts", "key": "h", "path": "/runs/holdouts/h"}
    pushed = {
        ("choose_release", "return_value"): settings,
        ("choose_release", "holdout"): holdout,
        ("prepare_release", "return_value"): files,
    }

    class Pulls:
        def xcom_pull(self, task_id, key="return_value"):
            return pushed[task_id, key]

    context = {"params": {}, "ti": Pulls()}
    rendered = task.render_template(task.application_args, context, task.get_template_env())

    assert rendered[0::2] == ["--settings", "--release-files", "--holdout"]
    assert [json.loads(text) for text in rendered[1::2]] == [settings, files, holdout]


def test_form_shows_every_setting_with_a_description_and_the_presets_value(dag):
    assert list(dag.params) == list(RunConfig.model_fields)
    assert all(dag.params.get_param(name).description for name in dag.params)
    assert parse_config(dict(dag.params)) == RunConfig(**PRESETS["quick"])


def test_form_puts_the_settings_that_matter_on_top(dag):
    on_top = [name for name in dag.params if "section" not in dag.params.get_param(name).schema]
    main = ["release", "source", "architectures", "image_size_px", "epochs", "repeats", "seed"]
    assert on_top == main


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size_px", 16),
        ("image_size_px", "large"),
        ("epochs", 0),
        ("test_fraction", 0.9),
        ("learning_rate", 0),
        ("release", "galaxy_zoo_99"),
        ("architectures", ["vgg16"]),
        ("architectures", []),
    ],
)
def test_form_refuses_a_value_out_of_bounds_and_names_it(dag, name, value):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError, match=f"Invalid input for param {name}"):
        deepcopy(dag.params).update({name: value})


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("combine", [{"release": "galaxy_zoo_99"}], "combine.0.release"),
        ("combine", [{"release": "galaxy_zoo_2", "sorce": "/data"}], "combine.0.sorce"),
        ("class_names", {"spiral": 1}, "class_names.spiral"),
    ],
)
def test_what_an_object_holds_is_refused_by_the_first_task_with_the_reason(
    dag, name, value, refused
):
    params = deepcopy(dag.params)
    params.update({name: value})
    with pytest.raises(InputError, match=re.escape(refused)):
        parse_config(dict(params))


def test_form_lets_a_text_without_default_stay_empty(dag):
    params = deepcopy(dag.params)
    params.update({"source": None, "ignored_classes": None})
    assert parse_config(dict(params)) == RunConfig(**PRESETS["quick"])


def test_times_can_be_set_beside_the_releases(airflow_home, monkeypatch):
    from galaxy_releases import galaxy_zoo_release, make_schedule

    monkeypatch.setenv("GALAXY_SCHEDULE", "0 3 * * 0")
    schedule = make_schedule()
    assert schedule.timetable.expression == "0 3 * * 0"
    assert schedule.asset_condition.objects == (galaxy_zoo_release,)


def test_bad_data_is_not_tried_again(policy):
    assert decide(policy, InputError("no such column")) == "fail"


@pytest.mark.parametrize(
    "error",
    [
        ResourceError("the disk is full"),
        ChildProcessError("ended by signal 9"),
        RuntimeError("Cannot execute: x. Error code is: 1."),
    ],
)
def test_any_other_failure_is_tried_again(policy, error):
    assert decide(policy, error) == "default"


def test_reading_the_dag_imports_no_heavy_library_and_is_quick(airflow_home):
    program = (
        "import json, sys, time, airflow.sdk as sdk\n"
        "from airflow.providers.apache.spark.operators import spark_submit\n"
        "from airflow.providers.standard.operators import hitl, trigger_dagrun\n"
        "sdk.DAG, sdk.Param, sdk.TaskGroup, sdk.task\n"
        "started = time.process_time()\n"
        "import galaxy_ablation, galaxy_morphology, galaxy_prediction, galaxy_promotion\n"
        "spent_s = time.process_time() - started\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "print(json.dumps([spent_s, heavy]))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (DAGS, PLUGINS, DAGS.parent)))},
        capture_output=True,
        text=True,
        check=True,
    )
    spent_s, heavy = json.loads(answer.stdout.splitlines()[-1])
    assert heavy == []
    assert spent_s < 1


def test_the_processor_reads_the_dag_file_and_skips_its_helpers():
    ignored = (DAGS / ".airflowignore").read_text().split()
    files = {path.name for path in DAGS.glob("*.py")}
    assert files - set(ignored) == {
        "galaxy_ablation.py",
        "galaxy_morphology.py",
        "galaxy_prediction.py",
        "galaxy_promotion.py",
    }
    assert set(ignored) <= files
