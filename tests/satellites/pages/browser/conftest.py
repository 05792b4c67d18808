"""A browser, and pages opened in it, which must ask for nothing and complain of nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import runs
from browser import launched
from playwright.sync_api import Browser, Page, expect

SIZES = {"laptop": (1280, 720), "screen": (1920, 1080), "phone": (390, 844)}

expect.set_options(timeout=15_000)
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the file of a run by its name in `runs`; each is made once."""
    folder = tmp_path_factory.mktemp("pages")

    def file(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            getattr(runs, name)().to_html(path)
        return path

    return file


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, files: Callable[[str], Path]) -> Iterator[Opened]:
    """Open the page of a run, or a file; when the test ends, no page has asked for anything or complained."""
    complaints: list[str] = []
    pages: list[Page] = []

    def open_page(what: str | Path, size: str = "laptop", theme: str = "light", **options: Any) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, offline=True, **options
        )
        context.add_init_script(VIOLATIONS)
        page = context.new_page()
        page.set_default_timeout(15_000)
        path = files(what) if isinstance(what, str) else what
        page.on("request", lambda request: request.url == path.as_uri() or complaints.append(f"asked {request.url}"))
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        complaints += page.evaluate("window.violations")
        page.context.close()
    assert complaints == []
