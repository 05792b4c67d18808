"""The browser that the tests of the replay page drive: the system's Chromium, or what CHROMIUM names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str:
    """Return the path of a Chromium.

    Raises
    ------
    RuntimeError
        When there is none.
    """
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None or not Path(found).is_file():
        raise RuntimeError(
            f"there is no Chromium here ({', '.join(NAMES)}): install one, or name one by CHROMIUM=/path/to/it"
        )
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """Yield a running browser."""
    with sync_playwright() as playwright:
        # Without a sandbox of its own: a container, or root, has none to give.
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
