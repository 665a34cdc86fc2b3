"""The browser that tests drive: found in one way, started in one way."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
# Chromium asks its maker's servers for updates and more at every start; a root has no sandbox.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
if not CHROMIUM and os.environ.get("REQUIRE_BROWSER") == "1":
    raise RuntimeError("REQUIRE_BROWSER is 1, and there is no Chromium: apt-get install chromium")
needs_browser = pytest.mark.skipif(
    not CHROMIUM, reason="needs Chromium: apt-get install chromium, or its place in CHROMIUM"
)


@contextlib.contextmanager
def open_browser() -> Iterator:
    """Yield a browser; skip the test where Playwright is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
