"""Pages as a browser shows them, where there is one."""

import contextlib
import shutil

import pytest

from support.waiting import PATIENCE


@contextlib.contextmanager
def opened(address: str, **context: object):
    """A page in a headless Chromium; whatever it complains of fails the test. Skips where there is no browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"], timeout=1000 * PATIENCE
        )
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(1000 * PATIENCE)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(address)
        yield page
        browser.close()
        assert not complaints
