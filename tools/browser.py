"""The web page in headless Chromium, as tools.pictures and tools.phone open it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dehw.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PHONE, DESK = (390, 844), (1440, 900)  # (width, height) of the window
PATIENCE = 300_000  # ms until a page is erased


@contextmanager
def opened(url: str, size: tuple[int, int], locale: str) -> Iterator[Page]:
    """Lend the web page at `url` in a window of (width, height), in a language. Raises InputError without a browser."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if not browser:
        raise InputError(f"no browser to open the page with ({', '.join(NAMES)}): apt install chromium.")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise InputError("the browser is driven by playwright: pip install -r requirements/dev.txt.") from error
    width, height = size
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=list(FLAGS))
        tab = chromium.new_page(viewport={"width": width, "height": height}, locale=locale)
        tab.set_default_timeout(PATIENCE)
        tab.goto(url)
        tab.wait_for_selector("#big:not(:disabled)")
        yield tab
        chromium.close()


def wait_for_result(tab: Page) -> None:
    """Wait until a page is shown as it was erased, and nothing runs."""
    tab.wait_for_function("() => /after/.test(document.querySelector('#after').src)")
    tab.wait_for_function("() => document.querySelector('#after').naturalWidth")
    tab.wait_for_selector("#big:not(:disabled)")
