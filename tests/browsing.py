"""A browser of this machine, and screenshots; ``SCREENSHOTS=docs/images`` writes the pictures of the documentation."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Error, Page, sync_playwright

from tests.cluster.programs import install

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_STILL = """addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style");
  style.textContent = ".chakra-progress__range { animation: none !important }";
  document.head.append(style);
});"""
"""The bar with which Airflow shows that a task runs moves sixty times a second: a quarter of a core, in each page."""
PICTURES_THERE = """(where) => {
  const pictures = [...document.querySelectorAll(where)];
  return pictures.length > 0 && pictures.every((one) => one.naturalWidth > 0);
}"""


@contextmanager
def launched() -> Iterator[BrowserContext]:
    """
    Return a running browser with a new profile, or skip the test if there is none.

    A profile keeps what was compiled of Airflow's scripts from page to page.
    """
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch_persistent_context(
                "", executable_path=chromium(), args=FLAGS, viewport={"width": 1400, "height": 960}
            )
        except Error as error:
            if "Executable doesn't exist" not in str(error):
                raise
            pytest.skip("no Chromium on this machine: install the package chromium, or run playwright install chromium")
        browser.add_init_script(_STILL)
        yield browser
        browser.close()


def chromium() -> str | None:
    """Return a browser of this machine, which gets one if it has none and can; else the driver looks for its own."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        return found or str(install("chromium", "chromium"))
    except RuntimeError:
        return None


def take(page: Page, name: str, folder: Path) -> None:
    """Write a screenshot, small enough for the documentation."""
    path = Path(os.environ.get("SCREENSHOTS") or folder) / f"{name}.png"
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(path, "PNG", optimize=True)  # with a palette, skin would be blotchy
    assert path.stat().st_size <= 500_000
