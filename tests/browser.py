"""A real headless Chromium on pages of a real server, for tests marked `browser`."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("there is no chromium: apt-get install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # Without a sandbox, which needs rights that root in a container lacks: it visits our own pages only.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def served(bundle: Path) -> Iterator[str]:
    """The address of `sentilora serve`, run as a user runs it."""
    command = [sys.executable, "-m", "sentilora", "serve", str(bundle), "--port", "0", "--threads", "1"]
    keyless = {name: value for name, value in os.environ.items() if not name.startswith("SENTILORA_")}
    server = subprocess.Popen(command, env=keyless, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().split()[-1]
    finally:
        server.terminate()
        assert server.wait(30) == 0


@contextlib.contextmanager
def browsing(chromium: Any, url: str, expected: str = "", **options: Any) -> Iterator[Any]:
    """A page in a fresh profile, which must say nothing but `expected` on its console and ask no other host."""
    said: list[str] = []
    asked: list[str] = []
    with contextlib.closing(chromium.new_context(**options)) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.wait_for_selector(".answer, #key-form:visible")
        yield page
    assert [each for each in said if not (expected and expected in each)] == []
    assert [each for each in asked if not each.startswith((url, "data:", "blob:"))] == []


@pytest.fixture
def page(chromium: Any, url: str) -> Iterator[Any]:
    """A page of the server at the module's own `url`."""
    with browsing(chromium, url) as page:
        yield page


def write(page: Any, text: str) -> None:
    """Type or paste a text and wait until its words are coloured."""
    page.fill("#text", text)
    page.wait_for_selector("#answers[aria-busy=false] .words li")


def drop(page: Any, name: str, content: bytes) -> None:
    """Drop a file somewhere on the page."""
    page.evaluate(
        """([name, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name));
            const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
            for (const type of ["dragenter", "dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(type, options));
            }
        }""",
        [name, list(content)],
    )


def scored(page: Any) -> bytes:
    """The result of a file, when all of it is there."""
    page.wait_for_selector("#file-status:has-text('scored')")
    return taken(page)


def taken(page: Any) -> bytes:
    """The file that is offered now."""
    with page.expect_download() as download:
        page.click("#download")
    return Path(download.value.path()).read_bytes()


def as_csv(rows: list[list[str]], delimiter: str = ",") -> bytes:
    """A CSV file as Python writes it."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows(rows)
    return file.getvalue().encode()


def rows_of(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file as Python reads it."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def share(value: float) -> str:
    """As the page writes it."""
    return f"{value * 100:.1f}\u00a0%"
