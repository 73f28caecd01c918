"""A page of the browser for each test; a picture of its last state is kept as an artefact."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import chromium
from tests.conftest import lacking

ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "browser"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser; each page gets an empty profile.

    While it is there Playwright's event loop runs in this thread, and no other test may start one: so not for longer.
    """
    path = chromium.found()
    if path is None:
        lacking("no chromium for the browser tests")
    expect.set_options(timeout=60_000)  # beside other load; 5 s otherwise
    with chromium.launched(path) as made:
        yield made


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
