"""A real Chromium, Debian's, driven by Playwright; a picture of each test's last page is kept as an artefact."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import lacking

# Without them Chromium looks for updates and other hosts, which a test has no business with.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "browser"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser; each page gets an empty profile."""
    chromium = os.environ.get("ATTUNE_OPS_TEST_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        lacking("no chromium for the browser tests")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield made
        made.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder of the pictures."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return ARTEFACTS


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest, pictures: Path) -> Iterator[Page]:
    """A fresh page; an error of its scripts fails the test."""
    made = browser.new_page(viewport={"width": 1280, "height": 900})
    errors: list[str] = []
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    made.screenshot(path=pictures / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())}.png")
    made.close()
    assert not errors
