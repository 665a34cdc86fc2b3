import pytest
from browsing import (
    fill_number,
    find_node,
    needs_browser,
    open_browser,
    open_form,
    open_page,
    open_section,
    send,
    show_graph,
    sync_api,
)
from harness import ALL_TASKS, DAG_ID, SETTINGS

from galaxy_tasks.standalone import progress

pytestmark = [pytest.mark.e2e, needs_browser]


@pytest.fixture(scope="module")
def session(standalone):
    """A browser's session, logged in as the command's output says."""
    with open_browser() as browser:
        address = f"{standalone.client.address}/dags/{DAG_ID}"
        page = open_page(browser, address, user="admin", password=standalone.password)
        page.get_by_test_id("trigger-dag-button").wait_for()
        yield page.context


@pytest.fixture
def page(session, standalone):
    """The DAG's page."""
    page = session.new_page()
    page.goto(f"{standalone.client.address}/dags/{DAG_ID}")
    page.get_by_test_id("trigger-dag-button").wait_for()
    yield page
    page.close()


def test_graph_shows_the_workflow(page):
    show_graph(page)
    for name in (*ALL_TASKS, "request_approval"):
        find_node(page, name).wait_for()
    edges = page.locator(".react-flow__edge").all()
    assert {edge.get_attribute("data-id") for edge in edges} == {
        "choose_release-prepare_release",
        "choose_release-choose_seeds",
        "choose_seeds-train",
        "prepare_release-clean_labels",
        "clean_labels-preprocess_images",
        "preprocess_images-train",
        "preprocess_images-predict_champion",
        "preprocess_images-train_baseline",
        "train_baseline-evaluate",
        "train-evaluate",
        "predict_champion-evaluate",
        "evaluate-promote",
        "evaluate-request_approval",
    }


def test_page_explains_the_dag(page):
    page.get_by_role("button", name="Dag Docs").click()
    page.get_by_text("Spark turns votes into one label per galaxy").wait_for()


def test_form_shows_the_main_settings_and_folds_the_others(page):
    form = open_form(page)
    text = form.inner_text()
    assert "Side of the square network input, in pixels (32 to 512)." in text
    for section in ("Labels", "Images", "Training", "Evaluation", "Simulation"):
        assert form.get_by_role("button", name=section, exact=True).is_visible()
    assert not form.get_by_text("Weight decay of AdamW (0 to 1).").is_visible()
    open_section(form, "Training")
    form.get_by_text("Weight decay of AdamW (0 to 1).").wait_for()


def test_form_takes_no_size_out_of_bounds(page):
    form = open_form(page)
    size = form.locator("input[name=element_image_size_px]")
    for typed, kept in (("16", "32"), ("9999", "512")):
        size.fill(typed)
        size.blur()
        sync_api.expect(size).to_have_value(kept)


def test_form_names_the_field_that_is_missing_and_does_not_start(page):
    form = open_form(page)
    size = form.locator("input[name=element_image_size_px]")
    size.fill("")
    size.blur()
    form.get_by_text("This field is required").wait_for()
    assert size.get_attribute("aria-invalid") == "true"
    assert not form.get_by_role("button", name="Trigger", exact=True).is_enabled()


def test_form_starts_a_run_that_reuses_what_is_there(page, standalone):
    before = set(standalone.runs.glob("models/*"))
    known = {run["dag_run_id"] for run in list_runs(standalone)}
    form = open_form(page)
    fill_number(form, "image_size_px", SETTINGS["image_size_px"])
    fill_number(form, "epochs", SETTINGS["epochs"])
    open_section(form, "Simulation")
    fill_number(form, "simulated_galaxies", SETTINGS["simulated_galaxies"])
    send(form)

    (run_id,) = {run["dag_run_id"] for run in list_runs(standalone)} - known

    assert standalone.wait_for_end(run_id) == "success"
    assert set(standalone.runs.glob("models/*")) == before
    assert (
        standalone.result("evaluate", run_id)["winner"] == standalone.result("evaluate")["winner"]
    )


def list_runs(standalone):
    return standalone.client.get(f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]


def test_page_of_a_task_shows_its_log(page, standalone):
    path = progress.run_path(DAG_ID, standalone.run_id).replace("dagRuns", "runs")
    page.goto(f"{standalone.client.address}/{path}/tasks/evaluate")
    page.get_by_text("Winning model").first.wait_for()  # the page draws the last lines
