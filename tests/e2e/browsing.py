"""A real browser, and what tests do with it on Airflow's page."""

import pytest
from fixtures.chromium import needs_browser, open_browser

__all__ = ["needs_browser", "open_browser"]

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")


def open_page(browser, address: str, *, user: str, password: str):
    """Open a page of Airflow, which asks for a login first."""
    session = browser.new_context(viewport={"width": 1500, "height": 1000})
    session.set_default_timeout(60_000)
    page = session.new_page()
    page.goto(address)
    log_in(page, user=user, password=password)
    return page


def log_in(page, *, user: str, password: str) -> None:
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.click("[type=submit]")


def open_form(page):
    """Open the DAG's trigger form."""
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog").filter(has_text="Trigger Dag")
    form.locator("input[name=element_image_size_px]").wait_for()
    return form


def fill_number(form, name: str, value: float) -> None:
    field = form.locator(f"input[name=element_{name}]")
    field.wait_for()
    field.fill(str(value))
    field.blur()


def open_section(form, name: str) -> None:
    form.get_by_role("button", name=name, exact=True).click()


def send(form) -> None:
    form.get_by_role("button", name="Trigger", exact=True).click()
    form.wait_for(state="hidden")


def show_graph(page) -> None:
    page.get_by_role("button", name="Show Graph").click()
    page.locator(".react-flow__node").first.wait_for()
    page.get_by_role("button", name="Expand all task groups").click()


def find_node(page, task_id: str):
    return page.locator(f".react-flow__node[data-id={task_id}]")
